package sampler

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// logDet is log|det(I + εJ_i)|, [B, M], with the full Hessian, and the smallest
// determinant in each system, [B]. It eliminates without pivoting, since I + εJ is near I
// below the bound. Guarded pivots keep the result finite for a singular matrix.
func (v SVGD) logDet(f *field, epsilon *Node) (logDet, smallest *Node) {
	a := f.kernelJacobian(v.Trace.SelfTerm || !v.Trace.HessianTrace)
	d := f.x.Shape().Dimensions[2]
	if v.Trace.HessianTrace {
		columns := make([]*Node, d) // H e_i; the probes are √D e_i
		for i, h := range f.s.HessV {
			columns[i] = InsertAxes(h, -1)
		}
		hessian := Concatenate(columns, -1) // [B, M, D, D]
		a = Add(a, Div(hessian, MulScalar(InsertAxes(f.n, -1, -1), math.Sqrt(float64(d)))))
	}
	eye := Reshape(ConvertDType(Diagonal(a.Graph(), d), a.DType()), 1, 1, d, d)
	work := Add(Mul(a, InsertAxes(epsilon, -1, -1)), eye)
	// Masks select row and column k, because slices have no second gradient.
	var sum, det *Node
	for k := range d {
		unit := Slice(eye, AxisRange(), AxisRange(), AxisElem(k)) // [1, 1, 1, D]
		row := ReduceAndKeep(Mul(work, TransposeAllAxes(unit, 0, 1, 3, 2)), ReduceSum, 2)
		column := ReduceAndKeep(Mul(work, unit), ReduceSum, 3)
		pivot := ReduceAndKeep(Mul(row, unit), ReduceSum, 3) // [B, M, 1, 1]
		tiny := LessThan(Abs(pivot), MulScalar(OnesLike(pivot), 1e-12))
		safe := Where(tiny, MulScalar(OnesLike(pivot), 1e-12), pivot)
		work = Sub(work, Div(Mul(column, row), safe))
		one := Log(Abs(safe))
		if sum == nil {
			sum, det = one, safe
		} else {
			sum, det = Add(sum, one), Mul(det, safe)
		}
	}
	return Squeeze(sum, -2, -1), StopGradient(ReduceMin(Squeeze(det, -2, -1), -1))
}
