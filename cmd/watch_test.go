package cmd_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stein-rl/stein/internal/browsertest"
)

// begin starts a command that is interrupted when the test ends.
func begin(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	})
}

// Ensure that stein watch shows two trainings while they run: the figures of a soft
// actor-critic, curves that grow, both seeds as one configuration.
func TestWatchOfTwoTrainings(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it trains")
	}
	b := browsertest.Open(t, "1500,1250")
	runs := t.TempDir()
	for _, seed := range []string{"1", "2"} {
		begin(t, stein("train", "--config", "pendulum/sac", "--run-dir", filepath.Join(runs, seed), "--seed", seed, "--steps", "100000",
			"--eval-freq", "400", "--eval-episodes", "2", "--log-freq", "100", "--threads", "1",
			"--set", "policy={hidden: [16]}", "--set", "agent.critic.hidden=[16]", "--set", "agent.batch_size=16"))
	}
	for end := time.Now().Add(10 * time.Minute); !there(runs, "1", "metrics.csv") || !there(runs, "2", "metrics.csv"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no figures within ten minutes")
		}
	}
	page := stein("watch", runs, "--every", "100ms")
	out, err := page.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, page)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	b.Go(strings.TrimSpace(strings.TrimPrefix(line, "watching at ")))
	b.Until(`document.querySelector("#chips button")?.textContent`, "pendulum/sac · 2 seeds")
	const points = `+(document.querySelector('.panel[data-title="Return"]')?.dataset.points ?? 0)`
	b.Until(points+` >= 3`, "true")
	b.Want(`[...document.querySelectorAll(".panel")].map(p => p.dataset.title).join()`, "Return,Critic loss,Actor loss,Entropy,Temperature,Speed")
	b.Until(`[...document.querySelectorAll("#runs tbody tr")].every(r => r.cells[4].textContent !== "–") && `+points+` >= 6`, "true")
	b.Shot("watch-trainings", false)
	if len(b.Noise) > 0 {
		t.Errorf("the page complains: %v", b.Noise)
	}
}
