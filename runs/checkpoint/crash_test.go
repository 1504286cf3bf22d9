package checkpoint_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/runs/checkpoint"
)

const writerRoot = "STEIN_TEST_CHECKPOINT_ROOT"

// TestMain is also the process that TestKilledWriter kills: it writes one
// checkpoint after the other, and prunes.
func TestMain(m *testing.M) {
	root := os.Getenv(writerRoot)
	if root == "" {
		os.Exit(m.Run())
	}
	first, _ := strconv.ParseInt(os.Getenv(writerRoot+"_STEP"), 10, 64)
	for step := first; ; step++ {
		_, err := checkpoint.Write(root, step, func(w *checkpoint.Writer) error {
			w.Figure(float64(step % 7))
			return errors.Join(fill(w, step), w.File("padding", func(out io.Writer) error {
				_, err := out.Write(make([]byte, 3<<20))
				return err
			}))
		})
		if err == nil {
			_, err = checkpoint.Prune(root, 2, 1)
		}
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.FormatInt(step, 10) + "\n")
	}
}

// SIGKILL at any point leaves the newest finished checkpoint usable, and the next
// writer clears away what was begun.
func TestKilledWriter(t *testing.T) {
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	done, torn := int64(-1), 0
	for range 15 {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), writerRoot+"="+root, writerRoot+"_STEP="+strconv.FormatInt(done+1, 10))
		out, err := writer.StdoutPipe()
		require.NoError(t, err)
		stderr := &bytes.Buffer{}
		writer.Stderr = stderr
		require.NoError(t, writer.Start())
		lines := bufio.NewScanner(out)
		require.True(t, lines.Scan(), stderr)
		time.AfterFunc(time.Duration(rng.IntN(30_000))*time.Microsecond, func() { writer.Process.Kill() })
		last := lines.Text()
		for lines.Scan() {
			last = lines.Text()
		}
		writer.Wait()
		require.Empty(t, stderr.String())
		reported, err := strconv.ParseInt(last, 10, 64)
		require.NoError(t, err)

		for _, name := range names(t, root) {
			if strings.HasPrefix(name, ".") {
				torn++
			}
		}
		c, skipped, err := checkpoint.Latest(root)
		require.NoError(t, err)
		require.Empty(t, skipped, "no visible checkpoint is ever half written")
		require.GreaterOrEqual(t, c.Manifest.Step, reported)
		check(t, c, c.Manifest.Step)
		done = c.Manifest.Step
	}
	require.Positive(t, torn, "no writer was killed in the middle of a checkpoint")
	write(t, root, done+1, 0)
	for _, name := range names(t, root) {
		require.NotContains(t, name, "tmp", "left by a writer that was killed")
	}
}

// A disk that fills up while a checkpoint is written, at many different places:
// an error that says so, nothing left over, the one before intact, and the next
// one fine once there is room.
func TestFullDisk(t *testing.T) {
	root := smallDisk(t, 1<<20)
	write(t, root, 1, 0)
	filler := filepath.Join(filepath.Dir(root), "filler")
	for kib := 1000; kib > 960; kib -= 3 {
		require.NoError(t, os.WriteFile(filler, make([]byte, kib<<10), 0o644))
		path, err := checkpoint.Write(root, 2, func(w *checkpoint.Writer) error {
			return errors.Join(fill(w, 2), w.File("large", func(out io.Writer) error {
				_, err := io.CopyN(out, zeros{}, 200<<10)
				return err
			}))
		})
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Empty(t, path)
		require.Equal(t, []string{"step-000000001"}, names(t, root))
		c, skipped, err := checkpoint.Latest(root)
		require.NoError(t, err)
		require.Empty(t, skipped)
		check(t, c, 1)
		require.NoError(t, os.Remove(filler))
	}
	write(t, root, 2, 0)
	c, _, err := checkpoint.Latest(root)
	require.NoError(t, err)
	check(t, c, 2)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// smallDisk mounts a file system of so many bytes, where the system lets it, and
// answers a folder to be made on it.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("mounting a small disk takes root on Linux")
	}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+strconv.Itoa(size), "tmpfs", dir).CombinedOutput()
	if err != nil {
		t.Skipf("mounting a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", dir).Run(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("umount %s: %v", dir, err)
		}
	})
	return filepath.Join(dir, "checkpoints")
}
