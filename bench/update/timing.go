package main

import (
	"slices"
	"syscall"
	"time"
)

// A cost is in ms: the fastest call's time, since other work on the machine only adds to
// it, and the lower quartile of the calls' processor time.
type cost struct{ wall, cpu float64 }

func (c cost) plus(d cost) cost     { return cost{c.wall + d.wall, c.cpu + d.cpu} }
func (c cost) minus(d cost) cost    { return cost{c.wall - d.wall, c.cpu - d.cpu} }
func (c cost) times(n float64) cost { return cost{c.wall * n, c.cpu * n} }

// A timed is something to measure, of so many equal parts.
type timed struct {
	do          func() error
	parts       float64
	walls, cpus []float64 // ms
}

// turn is the least time of a turn. Short calls repeat within it: the first of them runs
// with caches that are full of something else.
const turn = 10 * time.Millisecond

// measure runs everything in turns, A B C A B C …, so that a slow phase of the machine
// affects all, after one turn that does not count.
func measure(reps int, all ...*timed) error {
	for rep := range reps + 1 {
		for _, t := range all {
			if rep == 1 {
				t.walls, t.cpus = nil, nil
			}
			for began := time.Now(); ; {
				if err := t.once(); err != nil {
					return err
				}
				if time.Since(began) >= turn {
					break
				}
			}
		}
	}
	return nil
}

func (t *timed) once() error {
	wall, before := time.Now(), cpu()
	err := t.do()
	t.walls = append(t.walls, time.Since(wall).Seconds()*1e3)
	t.cpus = append(t.cpus, (cpu()-before).Seconds()*1e3)
	return err
}

// cost is that of one part.
func (t *timed) cost() cost {
	slices.Sort(t.cpus)
	return cost{slices.Min(t.walls), t.cpus[len(t.cpus)/4]}.times(1 / t.parts)
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
