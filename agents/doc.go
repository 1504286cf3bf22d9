// Package agents holds the learner and the loop that feeds it.
//
// Read train.go first. Four nouns meet there: an Env is stepped, a Buffer keeps
// what happened, an Agent acts and learns, and a Policy, which only the agent
// knows, is the distribution its actions come from:
//
//	for the number of steps asked for:
//		step := env.Recv()                    // what the last action led to
//		buffer.Add(obs, action, step)
//		action = agent.Act(step.Obs)          // random at first
//		env.Send(action)                      // the simulator works ...
//		agent.Update(buffer.Sample())         // ... while the learner does
//
// Package sac is the one learner: soft actor-critic (Haarnoja et al. 2018), which trains any
// policies.Policy.
package agents
