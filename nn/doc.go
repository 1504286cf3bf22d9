// Package nn provides the building blocks of learners and samplers: networks,
// activations, invertible maps (nn/flows), and an optimisation step for several parts
// that train against each other.
package nn
