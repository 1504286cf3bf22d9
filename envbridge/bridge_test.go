package envbridge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/envbridge"
)

// Ensure that a real Walker2d can be stepped, and that the same seed and actions
// give the same episode.
func TestWalker2dRepeats(t *testing.T) {
	run := func() ([]float32, float64) {
		env, err := envbridge.Start(t.Context(), envbridge.Worker{Env: "Walker2d-v5", Copies: 2})
		require.NoError(t, err)
		defer func() { require.NoError(t, env.Close()) }()
		require.Equal(t, envbridge.Spec{ID: "Walker2d-v5", Copies: 2, ObsDim: 17, ActDim: 6, MaxSteps: 1000}, env.Spec())
		_, err = env.Reset(t.Context(), 7)
		require.NoError(t, err)
		sum := 0.0
		action := make([]float32, 12)
		var last []float32
		for i := range 300 {
			for j := range action {
				action[j] = float32((i*7+j*3)%11)/5 - 1
			}
			require.NoError(t, env.Send(t.Context(), action))
			step, err := env.Recv(t.Context())
			require.NoError(t, err)
			sum += float64(step.Reward[0]) + float64(step.Reward[1])
			last = append(last[:0], step.Obs...)
		}
		return last, sum
	}
	obs1, sum1 := run()
	obs2, sum2 := run()
	require.Equal(t, obs1, obs2)
	require.Equal(t, sum1, sum2)
}
