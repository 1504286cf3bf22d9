// Package ebm trains energy-based models of pictures: p(x) ∝ exp(f(x)/τ), f a
// convolutional network, with the samplers of package sampler.
//
// Read train.go first. Two parts learn in turn from one bound of the likelihood
// (docs/maths.md, energy-based models),
//
//	E_data[f] − { E_q[f] + τ·H(q) }
//
// whose braces the sampler makes large and whose whole the energy makes large:
//
//	for the number of updates asked for:
//		batch := pictures.Draw()              // from the data
//		model.Update(batch)                   // draw from q, move, both gradients
//		report, measure, save
package ebm
