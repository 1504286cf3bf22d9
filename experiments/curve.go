package experiments

import "github.com/stein-rl/stein/runs"

// DrawCurve draws the learning curve of an agent's run into a PNG in its folder, returns
// in training and evaluation over environment steps, and returns the path.
func DrawCurve(dir, title string) (string, error) {
	return runs.DrawCurve(dir, title, "environment steps", "return of an episode",
		runs.Line{Metric: "rollout/ep_rew_mean", Legend: "training, mean of the last 100"},
		runs.Line{Metric: "eval/mean_reward", Legend: "evaluation, greedy", Bold: true})
}

// DrawImageCurve is DrawCurve for an image model: its measured distance from the data set
// over updates.
func DrawImageCurve(dir, title string) (string, error) {
	return runs.DrawCurve(dir, title, "updates", "distance from the data set",
		runs.Line{Metric: "eval/fd_e0", Legend: "FD-E0", Bold: true}, runs.Line{Metric: "eval/fd_e2", Legend: "FD-E2", Bold: true}, runs.Line{Metric: "eval/fid", Legend: "FID", Bold: true})
}
