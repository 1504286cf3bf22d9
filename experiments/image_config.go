package experiments

import (
	"context"
	"errors"
	"strings"

	"github.com/stein-rl/stein/images/dataset"
	"github.com/stein-rl/stein/images/ebm"
	"github.com/stein-rl/stein/runs"
)

// An ImageConfig is one image model's settings, all of them: what
// configs/parts/image-defaults.yaml explains key by key.
type ImageConfig struct {
	Version int
	About   string     // one line for `stein configs`
	Seed    *runs.Seed // nil: drawn, and printed
	Updates int64      `want:">= 1"` // in all

	Data  Data
	Model ebm.Config

	Eval       ImageEval
	Checkpoint ImageCheckpoint
	Log        Log
	Engine     Engine
}

// Data says which pictures are learnt from.
type Data struct {
	Name     string `want:"cifar10|mnist|fashion-mnist|folder"`
	Path     string // folder or archive; empty: where downloads and system packages lie
	Size     int    `want:">= 0"` // side to which pictures are brought; 0: as they are
	Grey     bool   // one channel in place of three
	Download bool   // fetch what is missing
	Flip     bool   // mirror one picture in two
	Noise    bool   // spread each byte over its interval
}

// ImageEval says how often and by what a model is measured while it trains.
type ImageEval struct {
	Every     int64  `want:">= 0"` // updates; 0: only at the end
	Samples   int    `want:">= 2"`
	Extractor string `want:"efficientnet-lite0|inception|none"`
	Weights   string // its file; empty: looked for
	Reference int    `want:">= 2"` // pictures of the data set that samples are compared with
	Pictures  int    `want:">= 0"` // in the grid that is drawn each time; 0: none
}

// ImageCheckpoint says what is kept.
type ImageCheckpoint struct {
	Every int64 `want:">= 0"` // updates; 0: only at the end
	Keep  int   `want:">= 1"` // the newest ones; the best by evaluation is kept besides
}

// RunSeed is the seed, which a run has been given by now.
func (c ImageConfig) RunSeed() runs.Seed { return *c.Seed }

// Validate says which settings contradict each other.
func (c ImageConfig) Validate() error {
	var all []error
	if err := ladder.CheckVersion(c.Version); err != nil {
		all = append(all, err)
	}
	if c.Data.Name == "folder" && (c.Data.Path == "" || c.Data.Size == 0) {
		all = append(all, errors.New("data.name folder: needs a path and a size that its pictures are brought to"))
	}
	return errors.Join(all...)
}

// open reads the pictures of a split.
func (d Data) open(ctx context.Context, split string, progress func(done, total int64)) (*dataset.Images, error) {
	if d.Name == "folder" && split != "train" {
		split = "train" // a folder has no other
	}
	return dataset.Open(ctx, dataset.Source{
		Name: d.Name, Path: d.Path, Split: split, Size: d.Size, Grey: d.Grey, Download: d.Download, Progress: progress,
	})
}

// Where the image models' configurations are, and the part that all stand on.
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

// ImageName is the whole name of an image model's configuration: ebm/langevin, where
// langevin alone is given; a file's stays.
func ImageName(name string) string {
	if runs.IsFile(name) || strings.HasPrefix(name, imagesPrefix) {
		return name
	}
	return imagesPrefix + name
}

// ResolveImages reads an image model's configuration, embedded (ebm/ may be left out)
// or a file, with everything it extends; lays the part of a size over it, tiny, small or paper,
// where one is named; and then the assignments in their order.
func ResolveImages(name, size string, sets []string) (ImageConfig, error) {
	name = ImageName(name)
	chain := []string{imageDefaults, name}
	if size != "" {
		chain = append(chain, "parts/image-"+size)
	}
	layers, err := ladder.Layers(name, chain...)
	if err != nil {
		return ImageConfig{}, err
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
		return ImageConfig{}, err
	}
	return cfg, nil
}

// IsImageRun says whether a folder is the run of an image model.
func IsImageRun(dir string) bool {
	_, err := RereadImages(dir, nil)
	return err == nil
}
