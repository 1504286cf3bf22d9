// Package fid measures how far drawn pictures are from real ones: Fréchet distance,
// kernel distance and inception score of a network's features.
//
// Only the distance on Inception-v3's features with the weights that were published
// for it is called FID. The one on EfficientNet-Lite0 is FD-E0: its scale is another,
// and the two must not be compared.
package fid

import (
	"context"

	"github.com/stein-rl/stein/images/dataset"
)

// An Extractor maps pictures to features.
type Extractor interface {
	Name() string   // efficientnet-lite0, inception
	Metric() string // what the Fréchet distance on it is called: FD-E0, FID
	Dim() int
	// Features are those of all pictures, in their order. progress, where not nil, is
	// told how many are done.
	Features(ctx context.Context, images *dataset.Images, progress func(done, total int)) (Features, error)
}

// Features are N rows of Dim values.
type Features struct {
	N, Dim int
	Values []float32 // [N, Dim]
}

// A Score compares pictures with those of a Reference. Fréchet distances of few pictures
// are larger than those of many (the covariance of N pictures is short of directions):
// only scores of the same numbers compare. The kernel distance has no such bias.
type Score struct {
	Metric  string  `json:"metric"`  // name of the Fréchet distance: FD-E0, FID
	Frechet float64 `json:"frechet"` // squared distance of two Gaussians, as FID is always given
	// Infinite is Frechet extrapolated to infinitely many pictures; null: of fewer than 8.
	Infinite  *float64 `json:"frechet_infinite"`
	KID       float64  `json:"kid"`       // unbiased, of the first 2,000 of both at most
	KIDError  float64  `json:"kid_error"` // its standard error
	Precision float64  `json:"precision"` // share of the pictures that lie among the reference's
	Recall    float64  `json:"recall"`    // share of the reference's that lie among the pictures
	N         int      `json:"n"`         // pictures
	Reference int      `json:"reference"` // pictures of the reference

	// Of the pictures alone, and only where the extractor is a Classifier; else 0.
	Inception    float64 `json:"inception_score,omitempty"`
	InceptionStd float64 `json:"inception_score_std,omitempty"`
}

// Few says whether the distance of so few pictures is mostly that of their number.
func (s Score) Few() bool { return min(s.N, s.Reference) < fewPictures }

// fewPictures are fewer than covariances of a thousand features can be told from.
const fewPictures = 1000
