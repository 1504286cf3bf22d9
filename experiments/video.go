package experiments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stein-rl/stein/internal/python"
)

// Limits on the frame rate. Further frames are dropped. GIF times frames in hundredths of
// a second, and players slow down GIFs of more than 50 frames per second.
const (
	maxFPS    = 60
	maxGIFFPS = 50
	usualFPS  = 30 // for environments that do not set one
)

// videoFormats are the extensions of formats that common players support.
var videoFormats = []string{".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"}

// CheckVideo checks a video's file name: its extension, in any case, selects the format.
func CheckVideo(path string) error {
	if ending := strings.ToLower(filepath.Ext(path)); !slices.Contains(videoFormats, ending) {
		return fmt.Errorf("video %s: unsupported extension; want %s", path, strings.Join(videoFormats, ", "))
	}
	return nil
}

// A video is a file that frames are encoded into by ffmpeg.
type video struct {
	path   string
	in     io.WriteCloser
	ffmpeg *exec.Cmd
	said   bytes.Buffer
	size   int // bytes per frame
}

// newVideo starts a video. fps is the frame rate of real time, 0 if unknown. The
// extension selects the format.
func newVideo(ctx context.Context, path string, fps float64, width, height int) (*video, error) {
	if err := CheckVideo(path); err != nil {
		return nil, err
	}
	program, err := findFFmpeg(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("video: %w", err)
	}
	v := &video{path: path, size: 3 * width * height}
	v.ffmpeg = exec.CommandContext(ctx, program, videoArgs(path, fps, width, height)...)
	v.ffmpeg.Stderr = &v.said
	if v.in, err = v.ffmpeg.StdinPipe(); err == nil {
		err = v.ffmpeg.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("video: starting ffmpeg: %w", err)
	}
	return v, nil
}

// videoArgs are the arguments of ffmpeg.
func videoArgs(path string, fps float64, width, height int) []string {
	if !(fps > 0) || math.IsInf(fps, 0) {
		fps = usualFPS
	}
	args := []string{
		"-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
		"-s", fmt.Sprintf("%dx%d", width, height), "-r", strconv.FormatFloat(fps, 'f', -1, 64), "-i", "-",
	}
	fastest := float64(maxFPS)
	if strings.EqualFold(filepath.Ext(path), ".gif") {
		fastest = maxGIFFPS
	} else { // players need this pixel format, which needs even sizes
		args = append(args, "-pix_fmt", "yuv420p", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2")
	}
	if fps > fastest {
		args = append(args, "-r", strconv.FormatFloat(fastest, 'f', -1, 64))
	}
	return append(args, "file:"+path) // the name may begin with a dash or contain a colon
}

// ffmpegScript prints the path of the ffmpeg in the package imageio-ffmpeg, after a mark
// that distinguishes it from other output.
const ffmpegScript = `
import imageio_ffmpeg
print("\n` + ffmpegMark + `" + imageio_ffmpeg.get_ffmpeg_exe())`

const ffmpegMark = "stein's ffmpeg: "

// findFFmpeg returns the ffmpeg of the package imageio-ffmpeg, or else the one on PATH.
func findFFmpeg(ctx context.Context) (string, error) {
	brought, err := broughtFFmpeg(ctx)
	if err == nil {
		return brought, nil
	}
	if path, err := exec.LookPath("ffmpeg"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("video: ffmpeg not found, neither on PATH nor in the Python package imageio-ffmpeg: %w", err)
}

func broughtFFmpeg(ctx context.Context) (string, error) {
	interpreter, err := python.Find("")
	if err != nil {
		return "", err
	}
	c := python.Command(ctx, interpreter, nil, "-c", ffmpegScript)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %s", interpreter, python.LastWords(strings.Split(said.String(), "\n")))
	}
	for line := range strings.Lines(string(out)) {
		if path, ok := strings.CutPrefix(line, ffmpegMark); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", fmt.Errorf("%s did not print its path", interpreter)
}

// Add appends a frame, three bytes per pixel.
func (v *video) Add(rgb []byte) error {
	if len(rgb) != v.size {
		return fmt.Errorf("video: got a frame of %d bytes, want %d: an environment's frames must keep their size", len(rgb), v.size)
	}
	if _, err := v.in.Write(rgb); err != nil {
		if why := v.Close(); why != nil { // ffmpeg's reason, not the broken pipe
			return why
		}
		return fmt.Errorf("video: %s: %w", v.path, err)
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
