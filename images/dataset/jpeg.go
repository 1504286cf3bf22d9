package dataset

import (
	"image"
	"image/color"
)

// smooth upsamples a JPEG's chroma like libjpeg, and so like Pillow, PyTorch and
// browsers: between two chroma samples it takes three parts of the nearer and one of the
// other ("fancy upsampling"). image/jpeg repeats each sample instead, which changes a
// network's features. Other than by a factor of two, chroma is left alone; libjpeg
// repeats samples there too.
func smooth(img image.Image) image.Image {
	y, ok := img.(*image.YCbCr)
	if !ok {
		return img
	}
	var across, down bool
	switch y.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		across, down = true, true
	case image.YCbCrSubsampleRatio422:
		across = true
	case image.YCbCrSubsampleRatio440:
		down = true
	default:
		return img
	}
	box := y.Bounds()
	blue, red := newChroma(y, y.Cb, across, down), newChroma(y, y.Cr, across, down)
	to := image.NewNRGBA(box)
	for v := range box.Dy() {
		for u := range box.Dx() {
			luma := y.Y[y.YOffset(box.Min.X+u, box.Min.Y+v)]
			r, g, b := color.YCbCrToRGB(luma, blue.at(u, v), red.at(u, v))
			to.SetNRGBA(box.Min.X+u, box.Min.Y+v, color.NRGBA{r, g, b, 255})
		}
	}
	return to
}

// chroma is one colour plane, sampled at half the resolution horizontally, vertically or
// both.
type chroma struct {
	samples       []byte
	stride        int
	width, height int // in samples
	across, down  bool
}

func newChroma(y *image.YCbCr, samples []byte, across, down bool) chroma {
	half := func(n int, halved bool) int {
		if halved {
			return (n + 1) / 2
		}
		return n
	}
	box := y.Bounds()
	return chroma{samples[y.COffset(box.Min.X, box.Min.Y):], y.CStride, half(box.Dx(), across), half(box.Dy(), down), across, down}
}

// at is the colour of a pixel; like libjpeg it alternates between rounding up and down.
func (c chroma) at(u, v int) byte {
	column := func(u int) int { // in quarters if subsampled vertically
		if !c.down {
			return int(c.samples[v*c.stride+u])
		}
		near := v / 2
		far := min(max(near+2*(v%2)-1, 0), c.height-1)
		return 3*int(c.samples[near*c.stride+u]) + int(c.samples[far*c.stride+u])
	}
	if !c.across {
		return byte((column(u) + 1 + v%2) >> 2)
	}
	near := u / 2
	far := min(max(near+2*(u%2)-1, 0), c.width-1)
	sum := 3*column(near) + column(far)
	if c.down {
		return byte((sum + 8 - u%2) >> 4)
	}
	return byte((sum + 1 + u%2) >> 2)
}
