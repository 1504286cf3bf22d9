// Package flows holds invertible maps with exact log-determinants.
package flows

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// A Flow is an invertible map. Its methods build graphs and panic on misuse. Its
// variables live under scope; building twice under one scope shares them.
type Flow interface {
	// Forward maps x, [B, M, D] or images [B, ...], to y with as many elements, and
	// returns log|det ∂y/∂x| of each row. cond, [B, C], is the condition; nil: none.
	Forward(scope *model.Scope, x, cond *Node) (y, logDet *Node)
}

// A Chain applies flows one after the other.
type Chain []Flow

var _ Flow = Chain{}

// Forward adds up the log-determinants of the flows.
func (c Chain) Forward(scope *model.Scope, x, cond *Node) (y, logDet *Node) {
	y = x
	for i, link := range c {
		var ld *Node
		y, ld = link.Forward(scope.At("link_%d", i), y, cond)
		if logDet == nil {
			logDet = ld
		} else {
			logDet = Add(logDet, ld)
		}
	}
	return y, logDet
}
