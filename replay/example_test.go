package replay_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/stein-rl/stein/replay"
)

// A buffer of one environment copy looks two steps ahead: rewards of a batch are sums of
// two, and Discount is 0 where the episode terminated within them.
func Example() {
	buffer, err := replay.New(replay.Config{Capacity: 100, Copies: 1, ObsDim: 1, ActDim: 1, NStep: 2, Gamma: 0.5})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 { // an episode: 0 → 1 → 2 → 3, each step worth 1
		err := buffer.Add(replay.Transition{
			Obs: []float32{float32(i)}, Action: []float32{0}, Reward: 1, Next: []float32{float32(i + 1)},
			Terminated: i == 2,
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	var batch replay.Batch // its memory is reused by the next Sample
	if err := buffer.Sample(&batch, 64, rand.New(rand.NewPCG(1, 2))); err != nil {
		log.Fatal(err)
	}
	seen := map[float32]bool{}
	for i := range batch.N {
		if s := batch.Obs[i]; !seen[s] {
			seen[s] = true
			fmt.Printf("from %g: reward %g, then %g times the value of %g\n", s, batch.Reward[i], batch.Discount[i], batch.Next[i])
		}
	}
	fmt.Println(buffer.Len(), "transitions")
	// Unordered output:
	// 3 transitions
	// from 0: reward 1.5, then 0.25 times the value of 2
	// from 1: reward 1.5, then 0 times the value of 3
	// from 2: reward 1, then 0 times the value of 3
}
