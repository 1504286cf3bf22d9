// Package agents holds the learner and the loop that feeds it.
//
// Read train.go first. It uses four nouns: an Env is stepped, a Buffer stores
// transitions, an Agent acts and learns, and a Policy, which only the agent knows, is the
// distribution of its actions:
//
//	for the number of steps asked for:
//		step := env.Recv()                    // what the last action led to
//		buffer.Add(obs, action, step)
//		action = agent.Act(step.Obs)          // random at first
//		env.Send(action)                      // the simulator works ...
//		agent.Update(buffer.Sample())         // ... while the learner does
//
// Two packages are learners: sac is soft actor-critic (Haarnoja et al. 2018), which
// trains any policies.Policy, and td3 is TD3 (Fujimoto et al. 2018).
package agents
