package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"

	"github.com/stein-rl/stein/internal/python"
)

// filmScript says how fast an environment's pictures follow each other, and where
// ffmpeg is.
const filmScript = `
import json, sys
import imageio_ffmpeg, gymnasium
print(json.dumps({
    "FPS": gymnasium.make(sys.argv[1]).metadata.get("render_fps", 30),
    "FFmpeg": imageio_ffmpeg.get_ffmpeg_exe(),
}))`

// Faster than this, pictures are dropped: players and files gain nothing.
const maxFPS = 60

// A video is a file that pictures are piped into, through ffmpeg.
type video struct {
	path   string
	in     io.WriteCloser
	ffmpeg *exec.Cmd
	said   bytes.Buffer
	size   int // bytes of a picture
}

// newVideo starts a video of an environment in real time. The file's ending says
// which format: mp4, gif, webm and so on.
func newVideo(ctx context.Context, path, env string, width, height int) (*video, error) {
	interpreter, err := python.Find("")
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, interpreter, "-c", filmScript, env).Output()
	var tool struct {
		FPS    float64
		FFmpeg string
	}
	if err == nil {
		err = json.Unmarshal(out, &tool)
	}
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = errors.New(lastLine(exit.Stderr))
		}
		return nil, fmt.Errorf("video: no ffmpeg (the package imageio-ffmpeg brings one): %w", err)
	}
	v := &video{path: path, size: 3 * width * height}
	args := []string{
		"-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
		"-s", fmt.Sprintf("%dx%d", width, height), "-r", strconv.FormatFloat(tool.FPS, 'f', -1, 64), "-i", "-",
	}
	if tool.FPS > maxFPS {
		args = append(args, "-r", strconv.Itoa(maxFPS))
	}
	if strings.HasSuffix(path, ".mp4") { // what every player shows wants even sizes
		args = append(args, "-pix_fmt", "yuv420p", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2")
	}
	v.ffmpeg = exec.CommandContext(ctx, tool.FFmpeg, append(args, path)...)
	v.ffmpeg.Stderr = &v.said
	if v.in, err = v.ffmpeg.StdinPipe(); err == nil {
		err = v.ffmpeg.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("video: starting ffmpeg: %w", err)
	}
	return v, nil
}

// Add appends a picture, three bytes a pixel.
func (v *video) Add(rgb []byte) error {
	if len(rgb) != v.size {
		return fmt.Errorf("video: a picture of %d bytes among those of %d", len(rgb), v.size)
	}
	if _, err := v.in.Write(rgb); err != nil {
		return errors.Join(fmt.Errorf("video: %s: %w", v.path, err), v.Close())
	}
	return nil
}

// Close finishes the file.
func (v *video) Close() error {
	if v.in == nil {
		return nil
	}
	err := errors.Join(v.in.Close(), v.ffmpeg.Wait())
	v.in = nil
	if err != nil {
		return fmt.Errorf("video: %s: %w: %s", v.path, err, lastLine(v.said.Bytes()))
	}
	return nil
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.TrimSpace(lines[len(lines)-1]))
}
