//go:build linux

package chaos

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"github.com/stein-rl/stein/runs"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Ensure that a clock that jumps, by a day ahead and by two back, changes nothing that
// is computed, ends no wait early or late, and spoils no record.
func TestClockJump(t *testing.T) {
	t.Parallel()
	calm, p, rng := newPlace(t), newPlace(t), dice(t)
	args := []string{"--steps", "4000", "--workers", "2", "--eval-freq", "500", "--save-freq", "500"}
	undisturbed := calm.train(t, args...)
	trainer := p.train(t, args...)
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		p.untilStep(t, trainer, p.step()+int64(100+rng.IntN(1000)))
		for _, pid := range append(p.processes(), trainer.pid()) {
			setClock(t, pid, jump)
		}
	}
	undisturbed.wantCode(t, 0)
	trainer.wantCode(t, 0)
	p.wantDone(t, 4000)
	if got, want := p.figures(t), calm.figures(t); !reflect.DeepEqual(got, want) {
		t.Errorf("figures\n%v\nwith a clock that stays\n%v", got, want)
	}
	p.wantFaults(t, 0, 0, 0)
	if _, seconds := must(runs.ReadTable(p.path("run")))(t).Series("time"); !slices.IsSorted(seconds) || seconds[len(seconds)-1] > patience.Seconds() {
		t.Errorf("the run's seconds are %v", seconds)
	}
	// That it has jumped is seen in what is meant to tell the time of day.
	days := map[int]bool{}
	for _, l := range trainer.logs.named("checkpoint") {
		at, err := time.Parse(time.RFC3339, l["time"].(string))
		if err != nil {
			t.Fatal(err)
		}
		days[int(time.Until(at).Round(24*time.Hour).Hours()/24)] = true
	}
	if !days[1] || !days[-1] {
		t.Errorf("the log is of the days %v, want one ahead and one behind", days)
	}
}

// The time of day as a process is to see it: the system's, and a number of seconds.
//
//	mov eax, 228; syscall         clock_gettime(edi, rsi)
//	test edi, edi; jnz end        the time of day alone is clock 0
//	mov rcx, [rip+4]
//	add [rsi], rcx
//	end: ret
var shiftedClock = []byte{
	0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x0a,
	0x48, 0x8b, 0x0d, 4, 0, 0, 0, 0x48, 0x01, 0x0e, 0xc3,
}

// setClock has a process of ours, and nobody else, see a time of day that is so much
// off. Go asks the kernel's vDSO for it and not the C library, so that libfaketime
// does not reach it: the vDSO's function in the process's memory gets another body.
func setClock(t *testing.T, pid int, off time.Duration) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skipf("NOT TESTED: no way here to have a clock jump on %s", runtime.GOARCH)
	}
	mem := must(os.OpenFile(proc(pid, "mem"), os.O_RDWR, 0))(t)
	defer mem.Close()
	from, to := vdso(t, pid)
	image := make([]byte, to-from)
	if _, err := mem.ReadAt(image, from); err != nil {
		t.Fatal(err)
	}
	function := int64(symbol(t, image, "__vdso_clock_gettime"))
	body := to - from - 64 // where the last page has nothing
	write := func(at int64, code []byte) {
		if _, err := mem.WriteAt(code, from+at); err != nil {
			t.Skipf("NOT TESTED: this system lets nobody change the clock of a process: %v", err)
		}
	}
	seconds := binary.LittleEndian.AppendUint64(nil, uint64(int64(off.Seconds())))
	if bytes.HasPrefix(image[body:], shiftedClock) { // not for the first time
		write(body+int64(len(shiftedClock)), seconds)
		return
	}
	if len(bytes.Trim(image[body:], "\x00")) > 0 {
		t.Skip("NOT TESTED: the kernel's vDSO has no room to change the clock of a process")
	}
	write(body, append(slices.Clone(shiftedClock), seconds...))
	jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(int32(body-function-5)))
	write(function, jump)
}

// vdso is where it lies in a process's memory.
func vdso(t *testing.T, pid int) (from, to int64) {
	t.Helper()
	maps := must(os.ReadFile(proc(pid, "maps")))(t)
	for l := range strings.Lines(string(maps)) {
		if strings.HasSuffix(l, "[vdso]\n") {
			if _, err := fmt.Sscanf(l, "%x-%x", &from, &to); err != nil {
				t.Fatal(err)
			}
			return from, to
		}
	}
	t.Skip("NOT TESTED: processes here have no vDSO, whose clock could jump")
	return 0, 0
}

func symbol(t *testing.T, image []byte, name string) uint64 {
	t.Helper()
	file := must(elf.NewFile(bytes.NewReader(image)))(t)
	for _, s := range must(file.DynamicSymbols())(t) {
		if s.Name == name {
			return s.Value
		}
	}
	t.Fatalf("the vDSO has no %s", name)
	return 0
}
