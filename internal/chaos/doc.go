// Package chaos has only tests that inject faults. They run the real stein in its own
// processes, with workers that die, hang, slow down and send garbage, trainers that are
// killed, full disks, clock jumps and misbehaving clients. After each fault they check
// for leaks and lost data. docs/faults.md is the list.
//
//	go test ./internal/chaos            every fault once, and a few at random
//	go test ./internal/chaos -seed 7    at other moments
//	make chaos                          100 rounds of faults at random, with a seed from the clock
package chaos
