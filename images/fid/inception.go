package fid

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"github.com/stein-rl/stein/internal/fetch"
	"github.com/stein-rl/stein/interop/torchfile"
)

// InceptionFile is the file of the weights that define FID, published by pytorch-fid:
// TensorFlow's inception-2015-12-05 for PyTorch.
var InceptionFile = fetch.File{
	URL:    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
	Name:   "pt_inception-2015-12-05-6726825d.pth",
	SHA256: "6726825d", // PyTorch's file names contain the start of the checksum
}

// A Classifier is an extractor whose features determine class logits, as the inception
// score needs.
type Classifier interface {
	Logits(f Features) Features // [N, classes]
}

// inceptionNet is the network with its classifier.
type inceptionNet struct {
	*network
	classes torchfile.Tensor // [1008, 2048]
}

var _ Classifier = (*inceptionNet)(nil)

// Logits omits the bias, like the code of Salimans et al.
func (n *inceptionNet) Logits(f Features) Features {
	classes := n.classes.Shape[0]
	out := Features{N: f.N, Dim: classes, Values: make([]float32, f.N*classes)}
	matrix := func(rows, cols int, data []float32) blas32.General {
		return blas32.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, matrix(f.N, f.Dim, f.Values), matrix(classes, f.Dim, n.classes.Data), 0,
		matrix(f.N, classes, out.Values))
	return out
}

// newInception builds the extractor from a weights file.
func newInception(backend compute.Backend, path string) (*inceptionNet, error) {
	w, err := readWeights(path)
	if err != nil {
		return nil, err
	}
	n, err := inceptionOf(backend, w)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return n, nil
}

// inceptionOf builds the extractor of the 2,048 features of pool3. Images are scaled to
// 299×299 and values to [-1, 1], as in pytorch-fid.
func inceptionOf(backend compute.Backend, w weights) (*inceptionNet, error) {
	n := &inceptionNet{network: &network{
		name: "inception", metric: "FID", key: "inception/6726825d/299", dim: 2048, side: 299, batch: 8,
		backend: backend, store: model.NewStore(), execs: map[[3]int]*model.Exec{}, features: inception,
	}}
	for name := range w {
		if conv, ok := strings.CutSuffix(name, ".conv.weight"); ok {
			if err := put(n.store, w, strings.ReplaceAll(conv, ".", "_"), conv+".conv", conv+".bn"); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if n.classes, err = w.get("fc.weight", 2); err != nil {
		return nil, err
	}
	if n.classes.Shape[1] != n.dim || w["Mixed_7c.branch_pool.conv.weight"].Shape == nil {
		return nil, fmt.Errorf("fid: the weights do not belong to Inception-v3")
	}
	return n, nil
}

// inception is Inception-v3 (Szegedy et al. 2016) as in TensorFlow's graph of 2015:
// average pooling ignores padding, and the last block uses max pooling.
func inception(l layers, x *Node) *Node {
	x = AddScalar(MulScalar(x, 2./255), -1)
	conv := func(x *Node, name string, stride, pad int) *Node { return l.relu(x, name, stride, around(pad)) }
	x = conv(x, "Conv2d_1a_3x3", 2, 0)
	x = conv(x, "Conv2d_2a_3x3", 1, 0)
	x = maxPool(conv(x, "Conv2d_2b_3x3", 1, 1)) // [B, 73, 73, 64]
	x = conv(x, "Conv2d_3b_1x1", 1, 0)
	x = maxPool(conv(x, "Conv2d_4a_3x3", 1, 0)) // [B, 35, 35, 192]
	for _, block := range []string{"Mixed_5b", "Mixed_5c", "Mixed_5d"} {
		x = l.inceptionA(x, block)
	}
	x = l.inceptionB(x, "Mixed_6a") // [B, 17, 17, 768]
	for _, block := range []string{"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"} {
		x = l.inceptionC(x, block)
	}
	x = l.inceptionD(x, "Mixed_7a") // [B, 8, 8, 1280]
	x = l.inceptionE(x, "Mixed_7b", meanPool)
	x = l.inceptionE(x, "Mixed_7c", func(x *Node) *Node {
		return MaxPool(x).Window(3).Strides(1).PaddingPerDim([][2]int{{1, 1}, {1, 1}}).Done()
	})
	return ReduceMean(x, 1, 2) // [B, 2048]
}

// relu is a convolution followed by ReLU.
func (l layers) relu(x *Node, name string, stride int, pad [2][2]int) *Node {
	return MaxScalar(l.conv(x, name, stride, pad), 0)
}

// branch applies a sequence of convolutions of stride 1 that keep the size.
func (l layers) branch(x *Node, block string, names ...string) *Node {
	for _, name := range names {
		name = block + "_" + name
		k := l.scope.At("%s", name).GetVariable("kernel").Shape()
		h, w := k.Dim(0)/2, k.Dim(1)/2
		x = l.relu(x, name, 1, [2][2]int{{h, h}, {w, w}})
	}
	return x
}

func (l layers) inceptionA(x *Node, block string) *Node {
	return Concatenate([]*Node{
		l.branch(x, block, "branch1x1"),
		l.branch(x, block, "branch5x5_1", "branch5x5_2"),
		l.branch(x, block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
		l.branch(meanPool(x), block, "branch_pool"),
	}, -1)
}

func (l layers) inceptionB(x *Node, block string) *Node {
	twice := l.branch(x, block, "branch3x3dbl_1", "branch3x3dbl_2")
	return Concatenate([]*Node{
		l.relu(x, block+"_branch3x3", 2, around(0)),
		l.relu(twice, block+"_branch3x3dbl_3", 2, around(0)),
		maxPool(x),
	}, -1)
}

func (l layers) inceptionC(x *Node, block string) *Node {
	return Concatenate([]*Node{
		l.branch(x, block, "branch1x1"),
		l.branch(x, block, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
		l.branch(x, block, "branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
		l.branch(meanPool(x), block, "branch_pool"),
	}, -1)
}

func (l layers) inceptionD(x *Node, block string) *Node {
	return Concatenate([]*Node{
		l.relu(l.branch(x, block, "branch3x3_1"), block+"_branch3x3_2", 2, around(0)),
		l.relu(l.branch(x, block, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3"), block+"_branch7x7x3_4", 2, around(0)),
		maxPool(x),
	}, -1)
}

func (l layers) inceptionE(x *Node, block string, pool func(*Node) *Node) *Node {
	once := l.branch(x, block, "branch3x3_1")
	twice := l.branch(x, block, "branch3x3dbl_1", "branch3x3dbl_2")
	return Concatenate([]*Node{
		l.branch(x, block, "branch1x1"),
		l.branch(once, block, "branch3x3_2a"), l.branch(once, block, "branch3x3_2b"),
		l.branch(twice, block, "branch3x3dbl_3a"), l.branch(twice, block, "branch3x3dbl_3b"),
		l.branch(pool(x), block, "branch_pool"),
	}, -1)
}

// maxPool halves the size.
func maxPool(x *Node) *Node { return MaxPool(x).Window(3).Strides(2).NoPadding().Done() }

// meanPool averages 3×3 neighbourhoods, ignoring padding.
func meanPool(x *Node) *Node {
	sum := func(x *Node) *Node {
		return SumPool(x).Window(3).Strides(1).PaddingPerDim([][2]int{{1, 1}, {1, 1}}).Done()
	}
	d := x.Shape().Dimensions
	return Div(sum(x), sum(Ones(x.Graph(), shapes.Make(x.DType(), 1, d[1], d[2], 1))))
}
