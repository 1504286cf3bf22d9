// Package fid measures how far generated images are from real ones: Fréchet distance,
// kernel distance and inception score of a network's features.
//
// Only the distance on Inception-v3's features with the published FID weights is called
// FID. The distance on EfficientNet-Lite0 is called FD-E0; it has another scale, and the
// two must not be compared.
package fid

import (
	"context"

	"github.com/stein-rl/stein/images/dataset"
)

// An Extractor maps images to features.
type Extractor interface {
	Name() string   // efficientnet-lite0, efficientnet-lite2, inception
	Metric() string // name of its Fréchet distance: FD-E0, FD-E2, FID
	Dim() int
	// Features returns the features of all images, in order. progress, if not nil, is
	// called with the number of images done.
	Features(ctx context.Context, images *dataset.Images, progress func(done, total int)) (Features, error)
}

// Features are N rows of Dim values.
type Features struct {
	N, Dim int
	Values []float32 // [N, Dim]
}

// A Score compares images with a Reference. The Fréchet distance is biased: it is larger
// for fewer images, since the covariance of N images is rank-deficient. Compare only
// scores of the same number of images. The kernel distance is unbiased.
type Score struct {
	Metric  string  `json:"metric"`  // name of the Fréchet distance: FD-E0, FID
	Frechet float64 `json:"frechet"` // squared distance of two Gaussians, the usual form of FID
	// Infinite is Frechet extrapolated to infinitely many images; null: fewer than 8
	// images.
	Infinite  *float64 `json:"frechet_infinite"`
	KID       float64  `json:"kid"`       // unbiased, over at most the first 2,000 images of both
	KIDError  float64  `json:"kid_error"` // its standard error
	Precision float64  `json:"precision"` // fraction of images close to the reference's
	Recall    float64  `json:"recall"`    // fraction of the reference's images close to the images
	N         int      `json:"n"`         // images
	Reference int      `json:"reference"` // images of the reference

	// Of the images only, and only if the extractor is a Classifier; else 0.
	Inception    float64 `json:"inception_score,omitempty"`
	InceptionStd float64 `json:"inception_score_std,omitempty"`
}

// Few reports whether the distance is dominated by the small number of images.
func (s Score) Few() bool { return min(s.N, s.Reference) < fewPictures }

// fewPictures is the number below which covariances of a thousand features are
// unreliable.
const fewPictures = 1000
