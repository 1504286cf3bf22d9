// Package chaos has no code, but tests that break things: the real stein, as its own
// processes, with workers that die, hang, drag and talk nonsense, trainers that are
// killed, disks that fill up, clocks that jump and clients of all manners. After each
// fault they look for what could be left behind or lost. docs/faults.md is the list.
//
//	go test ./chaos                     every fault once, and a few at random
//	go test ./chaos -seed 7             at other moments
//	make chaos                          100 rounds of faults at random, with a seed from the clock
package chaos
