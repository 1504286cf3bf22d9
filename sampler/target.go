package sampler

import . "github.com/gomlx/gomlx/core/graph"

// A Target is an unnormalised log density, [B, M, D] -> [B, M]. Neither systems
// nor particles meet in it: row (b, m) of the answer depends on particle (b, m) alone.
type Target func(x *Node) *Node
