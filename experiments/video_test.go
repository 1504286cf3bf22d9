package experiments

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stein-rl/stein/internal/python"
)

// Ensure that films are written under every name that a file can have, in formats
// that players show, at their pace, from pictures of odd sizes too.
func TestVideo(t *testing.T) {
	program, err := findFFmpeg(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	interpreter, err := python.Find("") // before the working directory is another
	if err == nil {
		interpreter, err = filepath.Abs(interpreter)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STEIN_PYTHON", interpreter)
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		path          string
		fps           float64
		width, height int
		want          string // of what ffmpeg says of the file
	}{
		{"walk.mp4", 30, 64, 48, `yuv420p.* 64x48.* 30 fps`},
		{"odd.mp4", 10, 33, 17, `yuv420p.* 34x18.* 10 fps`},
		{"WALK.MP4", 30, 33, 48, `yuv420p.* 34x48`},
		{"lr=0.1 12:30:00.mp4", 30, 64, 48, `30 fps`},
		{"-walk.mkv", 30, 64, 48, `yuv420p`},
		{"new/folder/walk.mov", 30, 64, 48, `yuv420p`},
		{"50%d.webm", 30, 64, 48, `vp9.*yuv420p`},
		{"walk.avi", 12.5, 64, 48, `12.50 fps`},
		{"walk.gif", 125, 33, 17, `33x17.* 50 fps`},
		{"slow.mp4", 0, 64, 48, ` 30 fps`},
		{"quick.mp4", 500, 64, 48, ` 60 fps`},
	} {
		v, err := newVideo(t.Context(), c.path, c.fps, c.width, c.height)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		for i := range 6 {
			if err := v.Add(bytes.Repeat([]byte{byte(40 * i)}, 3*c.width*c.height)); err != nil {
				t.Errorf("%s: %v", c.path, err)
			}
		}
		if err := v.Close(); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		about, _ := exec.Command(program, "-i", "file:"+c.path).CombinedOutput()
		if !regexp.MustCompile(c.want).Match(about) {
			t.Errorf("%s: want %s in %s", c.path, c.want, about)
		}
	}
}

// Ensure that ffmpeg's reason is reported if it cannot write, and not the broken pipe.
func TestVideoThatCannotBeWritten(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder.mp4")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	v, err := newVideo(t.Context(), folder, 30, 640, 480)
	for err == nil {
		err = v.Add(make([]byte, 3*640*480))
	}
	if !strings.Contains(err.Error(), "Is a directory") || strings.Contains(err.Error(), "broken pipe") {
		t.Error(err)
	}
}

// Ensure that names that say no format are refused by the formats there are.
func TestVideoNames(t *testing.T) {
	for _, path := range []string{"walk", "walk.", "walk.txt", ".mp4.bak", "mp4", "walk.mp4/"} {
		if err := CheckVideo(path); err == nil || !strings.Contains(err.Error(), ".mp4, .m4v") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if args := videoArgs("-y:.GIF", -1, 2, 2); args[len(args)-1] != "file:-y:.GIF" || slices.Contains(args, "yuv420p") {
		t.Error(args)
	}
}

// Ensure that ffmpeg is found beside what else Python prints, and on PATH where the
// package is missing.
func TestFFmpegIsFound(t *testing.T) {
	bin := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(bin, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("STEIN_PYTHON", script("talks", fmt.Sprintf("echo hello\nprintf '{\"x\": 1} made'\necho\necho %q\n", ffmpegMark+"/opt/ffmpeg")))
	if path, err := findFFmpeg(t.Context()); err != nil || path != "/opt/ffmpeg" {
		t.Errorf("%s, %v", path, err)
	}
	lacking := script("lacking", "echo \"ModuleNotFoundError: No module named 'imageio_ffmpeg'\" >&2; exit 1\n")
	t.Setenv("STEIN_PYTHON", lacking)
	t.Setenv("PATH", bin)
	if _, err := findFFmpeg(t.Context()); err == nil || !strings.Contains(err.Error(), "neither on PATH nor") || !strings.Contains(err.Error(), "No module named 'imageio_ffmpeg'") {
		t.Error(err)
	}
	want := script("ffmpeg", "")
	if path, err := findFFmpeg(t.Context()); err != nil || path != want {
		t.Errorf("%s, %v", path, err)
	}
}
