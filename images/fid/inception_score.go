package fid

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// InceptionScore is exp E KL(p(y|x) ‖ p(y)) over consecutive parts of the images, as mean
// and standard deviation (Salimans et al. 2016). logits are a classifier's, [N, classes].
func InceptionScore(logits Features, parts int) (mean, std float64, err error) {
	if parts < 1 || logits.N < parts {
		return 0, 0, fmt.Errorf("fid: cannot compute an inception score of %d images in %d parts", logits.N, parts)
	}
	scores := make([]float64, parts)
	for i := range scores {
		from, to := i*logits.N/parts, (i+1)*logits.N/parts
		marginal := make([]float64, logits.Dim)
		var entropy float64 // Σ p log p over images and classes
		for row := from; row < to; row++ {
			p := softmax(logits.Values[row*logits.Dim : (row+1)*logits.Dim])
			for c, v := range p {
				marginal[c] += v / float64(to-from)
				if v > 0 {
					entropy += v * math.Log(v)
				}
			}
		}
		kl := entropy / float64(to-from)
		for _, v := range marginal {
			if v > 0 {
				kl -= v * math.Log(v)
			}
		}
		scores[i] = math.Exp(kl)
	}
	mean, std = stat.PopMeanStdDev(scores, nil)
	return mean, std, nil
}

func softmax(logits []float32) []float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	p := make([]float64, len(logits))
	var sum float64
	for i, v := range logits {
		p[i] = math.Exp(float64(v) - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}
