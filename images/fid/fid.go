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

// A Score compares pictures with those of a Reference. Distances of few pictures are
// larger than those of many (the covariance of N pictures is short of directions): only
// scores of the same N compare.
type Score struct {
	Metric    string  `json:"metric"`    // name of the Fréchet distance: FD-E0, FID
	Frechet   float64 `json:"frechet"`   // squared distance of two Gaussians, as FID is always given
	KID       float64 `json:"kid"`       // mean over subsets of the unbiased estimate
	KIDStd    float64 `json:"kid_std"`   // over subsets
	N         int     `json:"n"`         // pictures
	Reference int     `json:"reference"` // pictures of the reference

	// Of the pictures alone, and only where the extractor is a Classifier; else 0.
	Inception    float64 `json:"inception_score,omitempty"`
	InceptionStd float64 `json:"inception_score_std,omitempty"`
}
