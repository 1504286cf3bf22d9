// Command serve swings up a pendulum with the actions of a served policy: a control loop
// in Go. control.py does the same in Python.
//
//	bin/stein train --config pendulum/sac --run-dir runs/pendulum
//	bin/stein serve runs/pendulum &
//	go run ./examples/serve
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"time"

	"github.com/stein-rl/stein/serve/client"
)

// pendulum is Gymnasium's Pendulum-v1: a rod of one metre and one kilogram.
type pendulum struct{ angle, speed float64 } // 0 is up; rad, rad/s

func (p pendulum) observation() []float32 {
	return []float32{float32(math.Cos(p.angle)), float32(math.Sin(p.angle)), float32(p.speed)}
}

// step applies an action in [−1, 1] as a torque of at most 2 Nm for 50 ms.
func (p *pendulum) step(action float64) (reward float64) {
	torque := 2 * min(max(action, -1), 1)
	angle := math.Remainder(p.angle, 2*math.Pi)
	reward = -(angle*angle + 0.1*p.speed*p.speed + 0.001*torque*torque)
	p.speed = min(max(p.speed+(15*math.Sin(p.angle)+3*torque)*0.05, -8), 8)
	p.angle += p.speed * 0.05
	return reward
}

func run(ctx context.Context, out io.Writer, address string) error {
	c, err := client.Dial(address, client.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	specs, err := c.Specs(ctx, "")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s on %s, %d steps of training\n", specs[0].Name, specs[0].Kind, specs[0].Env, specs[0].Step)

	loop, err := c.Stream(ctx)
	if err != nil {
		return err
	}
	defer loop.Close()
	p, sum, started := pendulum{angle: math.Pi}, 0.0, time.Now()
	const steps = 200
	for range steps {
		answer, err := loop.Act(p.observation(), client.Ask{Deterministic: true})
		if err != nil {
			return err
		}
		sum += p.step(float64(answer.Actions[0]))
	}
	each := time.Since(started) / steps
	fmt.Fprintf(out, "return %.0f, at the end %.2f rad from upright; %v an action\n", sum, math.Abs(math.Remainder(p.angle, 2*math.Pi)), each.Round(time.Microsecond))
	return nil
}

func main() {
	address := flag.String("server", "127.0.0.1:50051", "where stein serve listens")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *address); err != nil {
		log.Fatal(err)
	}
}
