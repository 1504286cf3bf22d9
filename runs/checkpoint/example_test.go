package checkpoint_test

import (
	"fmt"
	"log"
	"os"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/runs/checkpoint"
)

// Write makes a checkpoint that is whole or is not there; Latest opens the newest whole
// one and says which it passed over.
func Example() {
	root, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)

	store := model.NewStore()
	weights := store.RootScope().VariableWithValue("weights", []float32{1, 2})
	for _, step := range []int64{1000, 2000} {
		_, err := checkpoint.Write(root, step, func(w *checkpoint.Writer) error {
			if err := w.JSON("state", map[string]int64{"updates": step / 8}); err != nil {
				return err
			}
			return w.Store("agent", store)
		})
		if err != nil {
			log.Fatal(err)
		}
		if err := weights.SetValue(tensors.FromValue([]float32{3, 4})); err != nil {
			log.Fatal(err)
		}
	}
	// A disk that loses a byte of the newest one.
	if err := os.Truncate(root+"/step-000002000/agent.safetensors", 50); err != nil {
		log.Fatal(err)
	}

	found, skipped, err := checkpoint.Latest(root)
	if err != nil {
		log.Fatal(err)
	}
	if err := found.Store("agent", store); err != nil {
		log.Fatal(err)
	}
	fmt.Println("step", found.Manifest.Step, "with weights", weights.MustValue().Value())
	fmt.Println("skipped:", len(skipped))
	// Output:
	// step 1000 with weights [1 2]
	// skipped: 1
}
