package experiments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/runs"
)

// An ImageConfig holds all settings of one image model. configs/parts/image-defaults.yaml
// explains each key.
type ImageConfig struct {
	Version int
	About   string     // one-line description for `stein configs`
	Seed    *runs.Seed // nil: drawn, and printed
	Updates int64      `want:">= 1"` // total updates

	Data  Data
	Model ebm.Config

	Eval       ImageEval
	Checkpoint ImageCheckpoint
	Log        Log
	Engine     Engine
}

// Data selects the training images.
type Data struct {
	Name     string `want:"cifar10|mnist|fashion-mnist|folder"`
	Path     string // folder or archive; empty: the default places for downloads and system packages
	Size     int    `want:">= 0"` // side to which images are scaled; 0: unchanged
	Grey     bool   // convert to one channel
	Download bool   // download missing files
	Flip     bool   // mirror half of the images
	Noise    bool   // dequantise bytes with uniform noise
}

// ImageEval configures evaluations during training.
type ImageEval struct {
	Every     int64  `want:">= 0"` // updates; 0: only at the end
	Samples   int    `want:">= 2"`
	Extractor string `want:"efficientnet-lite0|efficientnet-lite2|inception|none"`
	Weights   string // file of its weights; empty: searched for
	Reference int    `want:">= 2"` // number of data set images that samples are compared with
	Pictures  int    `want:">= 0"` // number of images in the grid drawn each time; 0: none
}

// ImageCheckpoint configures checkpoints.
type ImageCheckpoint struct {
	Every int64 `want:">= 0"` // updates; 0: only at the end
	Keep  int   `want:">= 1"` // number of newest checkpoints; the best by evaluation is kept as well
}

// RunSeed is the seed, which is set once the run exists.
func (c ImageConfig) RunSeed() runs.Seed { return *c.Seed }

// Validate reports contradictory settings.
func (c ImageConfig) Validate() error {
	var all []error
	if err := ladder.CheckVersion(c.Version); err != nil {
		all = append(all, err)
	}
	if c.Data.Name == "folder" && (c.Data.Path == "" || c.Data.Size == 0) {
		all = append(all, errors.New("data.name folder: set data.path, and data.size to scale its images to"))
	}
	return errors.Join(all...)
}

// open reads the images of a split.
func (d Data) open(ctx context.Context, split string, progress func(done, total int64)) (*dataset.Images, error) {
	if d.Name == "folder" && split != "train" {
		split = "train" // a folder has no other split
	}
	m, err := dataset.Open(ctx, dataset.Source{
		Name: d.Name, Path: d.Path, Split: split, Size: d.Size, Grey: d.Grey, Download: d.Download, Progress: progress,
	})
	if _, lost := os.Stat(d.Path); err != nil && d.Path != "" && lost != nil && !filepath.IsAbs(d.Path) {
		err = fmt.Errorf("%w; data.path is relative to the working directory: start stein where the training was started, or set an absolute path", err)
	}
	return m, err
}

// The folder of the image models' configurations, and the part that all of them extend.
const (
	imagesPrefix  = "ebm/"
	imageDefaults = "parts/image-defaults"
)

// ImageNames lists the embedded configurations of image models, such as ebm/langevin.
func ImageNames() []string {
	var names []string
	for _, name := range ladder.Names() {
		if strings.HasPrefix(name, imagesPrefix) {
			names = append(names, name)
		}
	}
	return names
}

// ImageName completes the name of an image model's configuration: ebm/langevin for
// langevin. File names are unchanged.
func ImageName(name string) string {
	if runs.IsFile(name) || strings.HasPrefix(name, imagesPrefix) {
		return name
	}
	return imagesPrefix + name
}

// ResolveImages reads an image model's configuration, embedded (ebm/ may be omitted) or a
// file, with everything it extends. It then applies the part of a size, tiny, small or
// paper, if size is not empty, and the assignments in order.
func ResolveImages(name, size string, sets []string) (ImageConfig, error) {
	name = ImageName(name)
	layers, err := ladder.Layers(name, imageDefaults, name)
	if err != nil {
		return ImageConfig{}, err
	}
	if size != "" {
		sizes, err := ladder.Layers(name, "parts/image-"+size)
		if err != nil {
			return ImageConfig{}, err
		}
		for _, s := range sizes {
			layers = append(layers, s.AnyKind()) // sizes of Glow do not apply to a Gaussian
		}
	}
	cfg := ImageConfig{}
	if err := ladder.Decode(name, &cfg, layers, sets, nil); err != nil {
		return ImageConfig{}, err
	}
	return cfg, nil
}

// RereadImages reads the resolved configuration of an image model's run folder.
func RereadImages(dir string, sets []string) (ImageConfig, error) {
	cfg := ImageConfig{}
	layers, path, err := ladder.Reread(dir)
	if err != nil {
		return cfg, err
	}
	if err := ladder.Decode(path, &cfg, layers, sets, nil); err != nil {
		var steps int64 // only agents have them
		if layers[0].Get("steps", &steps) == nil && steps > 0 {
			err = fmt.Errorf("%s is the run of an agent, not of an image model: use stein eval, train --resume, serve or export", dir)
		}
		return ImageConfig{}, err
	}
	return cfg, nil
}

// IsImageRun reports whether a folder is the run of an image model.
func IsImageRun(dir string) bool {
	_, err := RereadImages(dir, nil)
	return err == nil
}
