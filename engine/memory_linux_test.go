package engine_test

import (
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/internal/enginetest"
)

// Ensure that the memory of a graph's intermediate results, 40 MB, is the process's own
// from one call to the next: a page that the kernel had back would be faulted in again.
func TestMemoryIsKept(t *testing.T) {
	backend := enginetest.Backend(t)
	if backend.Name() == enginetest.PureGo(t).Name() {
		t.Skip("the interpreter has no memory of its own")
	}
	const rows, count, calls = 1 << 15, 10, 8 // 4 MB each
	exec := MustNewExec(backend, func(x, w *Node) *Node {
		// All of them are there before the last one, which the others are added to.
		var all []*Node
		for y := x; len(all) < count; all = append(all, y) {
			y = Dot(y, w).Product()
		}
		sum := all[count-1]
		for _, y := range all {
			sum = Dot(Mul(sum, y), w).Product()
		}
		return ReduceAllSum(sum)
	})
	defer exec.Finalize()
	zeros := func(dims ...int) any {
		return MustExecOnce(backend, func(g *Graph) *Node { return Zeros(g, shapes.Make(dtypes.Float32, dims...)) })
	}
	x, w := zeros(rows, 32), zeros(32, 32)
	call := func() { exec.MustCall(x, w)[0].MustFinalizeAll() }
	for range 3 * calls { // compiles, and lets the heaps of threads grow to their size
		call()
	}
	faults := func() int64 {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return usage.Minflt
	}
	var each []int64
	for range calls {
		before := faults()
		call()
		each = append(each, faults()-before)
	}
	slices.Sort(each)
	pages := int64(4 << 20 * count / syscall.Getpagesize())
	median := each[calls/2]
	t.Logf("%d page faults a call, of %d pages", median, pages)
	if median > pages/2 {
		t.Errorf("%d page faults a call: %d pages of intermediate results are given back and taken again", median, pages)
	}
}

// Ensure that backends that nothing uses any more are freed, with their threads.
func TestBackendsAreCollected(t *testing.T) {
	if enginetest.Backend(t).Name() == enginetest.PureGo(t).Name() {
		t.Skip("the interpreter has no threads of its own")
	}
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	const count = 20
	before := threads()
	for range count {
		backend, _, err := engine.Open("")
		if err != nil {
			t.Fatal(err)
		}
		exec := MustNewExec(backend, func(x *Node) *Node { return Dot(x, x).Product() })
		exec.MustCall([][]float32{{1, 2}, {3, 4}})
		exec.Finalize()
	}
	opened := threads()
	if opened < before+count {
		t.Fatalf("%d threads with %d backends, %d before: want one each at least", opened, count, before)
	}
	for range 100 { // a client is freed after its buffers are: in a later collection
		if runtime.GC(); threads() < before+count/2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d threads of %d are left, %d before", threads(), opened, before)
}
