// Stein trains reinforcement-learning agents whose policies can be particles.
package main

import (
	"os"

	"github.com/stein-rl/stein/cmd"
	"github.com/stein-rl/stein/experiments"
)

func main() { os.Exit(cmd.Main(experiments.Builtin())) }
