package fid

import (
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/interop/torchfile"
)

// madeInception are the weights of golden.py's made_inception: every value follows from
// its place and the name of its tensor.
func madeInception() weights {
	w := weights{}
	fill := func(name string, shape ...int) {
		size := 1
		for _, d := range shape {
			size *= d
		}
		a := torchfile.Tensor{Shape: shape, Data: make([]float32, size)}
		seed := uint64(crc32.ChecksumIEEE([]byte(name)))
		for i := range a.Data {
			k := (uint64(i)*2654435761 + seed) & 0xffffffff * 1664525 & 0xffffffff
			u := float64(k>>8) / (1 << 24)
			switch {
			case strings.HasSuffix(name, "conv.weight") || name == "fc.weight":
				u = (u - 0.5) * 2 * math.Sqrt(6/float64(size/shape[0]))
			case strings.HasSuffix(name, "running_var") || strings.HasSuffix(name, "bn.weight"):
				u = 0.8 + 0.4*u
			default:
				u = 0.2 * (u - 0.5)
			}
			a.Data[i] = float32(u)
		}
		w[name] = a
	}
	conv := func(name string, in, out, h, k int) {
		fill(name+".conv.weight", out, in, h, k)
		for _, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			fill(name+".bn."+part, out)
		}
	}
	conv("Conv2d_1a_3x3", 3, 32, 3, 3)
	conv("Conv2d_2a_3x3", 32, 32, 3, 3)
	conv("Conv2d_2b_3x3", 32, 64, 3, 3)
	conv("Conv2d_3b_1x1", 64, 80, 1, 1)
	conv("Conv2d_4a_3x3", 80, 192, 3, 3)
	for i, in := range []int{192, 256, 288} {
		b := "Mixed_5" + string(rune('b'+i)) + "."
		conv(b+"branch1x1", in, 64, 1, 1)
		conv(b+"branch5x5_1", in, 48, 1, 1)
		conv(b+"branch5x5_2", 48, 64, 5, 5)
		conv(b+"branch3x3dbl_1", in, 64, 1, 1)
		conv(b+"branch3x3dbl_2", 64, 96, 3, 3)
		conv(b+"branch3x3dbl_3", 96, 96, 3, 3)
		conv(b+"branch_pool", in, []int{32, 64, 64}[i], 1, 1)
	}
	conv("Mixed_6a.branch3x3", 288, 384, 3, 3)
	conv("Mixed_6a.branch3x3dbl_1", 288, 64, 1, 1)
	conv("Mixed_6a.branch3x3dbl_2", 64, 96, 3, 3)
	conv("Mixed_6a.branch3x3dbl_3", 96, 96, 3, 3)
	for i, c := range []int{128, 160, 160, 192} {
		b := "Mixed_6" + string(rune('b'+i)) + "."
		conv(b+"branch1x1", 768, 192, 1, 1)
		conv(b+"branch7x7_1", 768, c, 1, 1)
		conv(b+"branch7x7_2", c, c, 1, 7)
		conv(b+"branch7x7_3", c, 192, 7, 1)
		conv(b+"branch7x7dbl_1", 768, c, 1, 1)
		conv(b+"branch7x7dbl_2", c, c, 7, 1)
		conv(b+"branch7x7dbl_3", c, c, 1, 7)
		conv(b+"branch7x7dbl_4", c, c, 7, 1)
		conv(b+"branch7x7dbl_5", c, 192, 1, 7)
		conv(b+"branch_pool", 768, 192, 1, 1)
	}
	conv("Mixed_7a.branch3x3_1", 768, 192, 1, 1)
	conv("Mixed_7a.branch3x3_2", 192, 320, 3, 3)
	conv("Mixed_7a.branch7x7x3_1", 768, 192, 1, 1)
	conv("Mixed_7a.branch7x7x3_2", 192, 192, 1, 7)
	conv("Mixed_7a.branch7x7x3_3", 192, 192, 7, 1)
	conv("Mixed_7a.branch7x7x3_4", 192, 192, 3, 3)
	for i, in := range []int{1280, 2048} {
		b := "Mixed_7" + string(rune('b'+i)) + "."
		conv(b+"branch1x1", in, 320, 1, 1)
		conv(b+"branch3x3_1", in, 384, 1, 1)
		conv(b+"branch3x3_2a", 384, 384, 1, 3)
		conv(b+"branch3x3_2b", 384, 384, 3, 1)
		conv(b+"branch3x3dbl_1", in, 448, 1, 1)
		conv(b+"branch3x3dbl_2", 448, 384, 3, 3)
		conv(b+"branch3x3dbl_3a", 384, 384, 1, 3)
		conv(b+"branch3x3dbl_3b", 384, 384, 3, 1)
		conv(b+"branch_pool", in, 192, 1, 1)
	}
	fill("fc.weight", 1008, 2048)
	return w
}

// Ensure that the network is pytorch-fid's, layer for layer: with the same made weights
// in both, the features are the same.
func TestInception(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole feature network")
	}
	want := readGolden(t).Inception
	net, err := inceptionOf(enginetest.Backend(t), madeInception())
	if err != nil {
		t.Fatal(err)
	}
	net.batch = 2
	f, err := net.Features(t.Context(), made(2, 32, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, f, want.Colour, want.ColourNorm)
	if l := net.Logits(f); l.N != 2 || l.Dim != 1008 || math.Abs(float64(l.Values[1008+7])-product(f, net.classes, 1, 7)) > 1e-3 {
		t.Errorf("logits of %d×%d", l.N, l.Dim)
	}
}

func product(f Features, classes torchfile.Tensor, row, class int) (sum float64) {
	for d := range f.Dim {
		sum += float64(f.Values[row*f.Dim+d]) * float64(classes.Data[class*f.Dim+d])
	}
	return sum
}

// Ensure that weights of another network are refused.
func TestInceptionOtherWeights(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole feature network")
	}
	w := madeInception()
	delete(w, "Mixed_6c.branch7x7_2.bn.running_var")
	if _, err := inceptionOf(nil, w); err == nil || !strings.Contains(err.Error(), "Mixed_6c.branch7x7_2.bn.running_var") {
		t.Errorf("a missing tensor: %v", err)
	}
}
