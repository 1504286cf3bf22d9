package experiments

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// ExportRun writes one checkpoint of a run as a run folder of its own, to: last, best,
// or a step. The new folder has the settings, the record and the curve of the run, and
// the agent without what training alone needs: replay memory and the optimisers'
// variables. It evaluates, serves and exports as the run does, and can't be trained on.
// It answers the checkpoint's step. With none for a checkpoint, the folder is the record
// alone, for reports. to must not exist, or be empty.
func ExportRun(dir, which, to string, log *slog.Logger) (step int64, err error) {
	info, err := runs.ReadInfo(dir)
	if err != nil {
		return 0, err
	}
	if IsImageRun(dir) {
		return 0, fmt.Errorf("export: %s is the run of an image model: its energy can be exported as ONNX", dir)
	}
	if which == "none" {
		return 0, runs.CreateExported(to, dir, info)
	}
	saved, err := runs.OpenCheckpoint(dir, which, log)
	if err != nil {
		return 0, err
	}
	agent := model.NewStore()
	if err := errors.Join(saved.Store(agentFile, agent), nn.ForgetMoments(agent)); err != nil {
		return 0, err
	}
	if err := runs.CreateExported(to, dir, info); err != nil {
		return 0, err
	}
	_, err = checkpoint.Write(runs.Checkpoints(to), saved.Manifest.Step, func(w *checkpoint.Writer) error {
		if f := saved.Manifest.Figure; f != nil {
			w.Figure(*f)
		}
		all := []error{w.Store(agentFile, agent)}
		for _, f := range saved.Manifest.Files {
			if strings.HasSuffix(f.Name, ".json") {
				all = append(all, saved.File(f.Name, func(in io.Reader) error {
					return w.File(f.Name, func(out io.Writer) error { _, err := io.Copy(out, in); return err })
				}))
			}
		}
		return errors.Join(all...)
	})
	return saved.Manifest.Step, err
}
