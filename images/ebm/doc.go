// Package ebm trains energy-based models of images: p(x) ∝ exp(f(x)/τ), f a
// convolutional network, with the samplers of package sampler.
//
// Read train.go first. Two parts alternately learn from one bound of the likelihood
// (docs/maths.md, energy-based models),
//
//	E_data[f] − { E_q[f] + τ·H(q) }
//
// in which the sampler maximises the braces and the energy the whole:
//
//	for the number of updates asked for:
//		batch := pictures.Draw()              // from the data
//		model.Update(batch)                   // draw from q, move, both gradients
//		report, measure, save
package ebm
