package dataset

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Ensure that pictures are turned to the right, blurred by whole squares, made noisy
// within bytes, and brought to another form; and that the set itself stays as it was.
func TestAlter(t *testing.T) {
	m := &Images{Height: 2, Width: 2, Channels: 1, Pixels: []byte{0, 40, 80, 120}}
	turned, err := m.Turned()
	if err != nil || !bytes.Equal(turned.Pixels, []byte{80, 0, 120, 40}) {
		t.Errorf("turned: %v, %v", turned, err)
	}
	if b := m.Blurred(1); !bytes.Equal(b.Pixels, []byte{60, 60, 60, 60}) {
		t.Errorf("blurred: %v", b.Pixels)
	}
	if n := m.Noisy(0.5, rand.New(rand.NewPCG(1, 1))); bytes.Equal(n.Pixels, m.Pixels) {
		t.Errorf("noise changed nothing: %v", n.Pixels)
	}
	if wide, err := m.As(2, 3); err != nil || !bytes.Equal(wide.Pixels[3:6], []byte{40, 40, 40}) || m.Channels != 1 {
		t.Errorf("in colour: %+v, %v", wide, err)
	}
	if small, err := m.As(1, 1); err != nil || !bytes.Equal(small.Pixels, []byte{60}) {
		t.Errorf("smaller: %+v, %v", small, err)
	}
	if _, err := m.As(3, 1); err == nil {
		t.Error("2×2 is brought to 3×3")
	}
}
