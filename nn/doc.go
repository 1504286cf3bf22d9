// Package nn holds what learners and samplers build their graphs from: networks,
// activations, invertible maps (nn/flows), and one optimisation step of several parts
// that are trained against each other.
package nn
