package envbridge_test

import (
	"context"
	"fmt"
	"log"

	"github.com/stein-rl/stein/envbridge"
)

// Two copies of Pendulum are stepped in a Python process that Start starts and
// supervises. Next is what to learn from, Obs is where to act now.
func Example() {
	ctx := context.Background()
	env, err := envbridge.Start(ctx, envbridge.Worker{Env: "Pendulum-v1", Copies: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	spec := env.Spec()
	fmt.Printf("%s: %d copies, %d observations, %d action, episodes of %d steps\n", spec.ID, spec.Copies, spec.ObsDim, spec.ActDim, spec.MaxSteps)

	obs, err := env.Reset(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	for range 200 {
		action := make([]float32, spec.Copies*spec.ActDim) // in [−1, 1], scaled to the environment's box
		for i := range action {
			action[i] = -obs[i*spec.ObsDim+2] / 8 // against the angular velocity
		}
		if err := env.Send(ctx, action); err != nil {
			log.Fatal(err)
		}
		step, err := env.Recv(ctx) // time for an update of the networks is in between
		if err != nil {
			log.Fatal(err)
		}
		obs = step.Obs
		if step.Truncated[0] {
			fmt.Println("the time limit ends both episodes:", step.Truncated, step.Terminated)
		}
	}
	// Output:
	// Pendulum-v1: 2 copies, 3 observations, 1 action, episodes of 200 steps
	// the time limit ends both episodes: [true true] [false false]
}
