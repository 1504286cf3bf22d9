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

// Faster than this, pictures are dropped: players and files gain nothing. A GIF counts
// in hundredths of a second, and players slow down those of more than 50 pictures a
// second.
const (
	maxFPS    = 60
	maxGIFFPS = 50
	usualFPS  = 30 // of environments that don't say
)

// videoFormats are the endings of files that every player shows what is put into.
var videoFormats = []string{".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"}

// CheckVideo says whether a film can be written under a name: its ending, in small or
// capital letters, is the format.
func CheckVideo(path string) error {
	if ending := strings.ToLower(filepath.Ext(path)); !slices.Contains(videoFormats, ending) {
		return fmt.Errorf("video %s: the ending is the format: want %s", path, strings.Join(videoFormats, ", "))
	}
	return nil
}

// A video is a file that pictures are piped into, through ffmpeg.
type video struct {
	path   string
	in     io.WriteCloser
	ffmpeg *exec.Cmd
	said   bytes.Buffer
	size   int // bytes of a picture
}

// newVideo starts a video in real time: fps is the pace of its pictures, 0 where the
// environment doesn't say. The file's ending says which format.
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

// videoArgs are what ffmpeg is told.
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
	} else { // what every player shows has colours of this kind, and even sizes for them
		args = append(args, "-pix_fmt", "yuv420p", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2")
	}
	if fps > fastest {
		args = append(args, "-r", strconv.FormatFloat(fastest, 'f', -1, 64))
	}
	return append(args, "file:"+path) // a name may begin with a dash or have a colon
}

// ffmpegScript prints where the package imageio-ffmpeg has ffmpeg. What else Python
// prints has no such mark before it.
const ffmpegScript = `
import imageio_ffmpeg
print("\n` + ffmpegMark + `" + imageio_ffmpeg.get_ffmpeg_exe())`

const ffmpegMark = "stein's ffmpeg: "

// findFFmpeg is the program that the package imageio-ffmpeg brings, else that on PATH.
func findFFmpeg(ctx context.Context) (string, error) {
	brought, err := broughtFFmpeg(ctx)
	if err == nil {
		return brought, nil
	}
	if path, err := exec.LookPath("ffmpeg"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("video: no ffmpeg, neither on PATH nor by the Python package imageio-ffmpeg: %w", err)
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
	return "", fmt.Errorf("%s did not say where it is", interpreter)
}

// Add appends a picture, three bytes a pixel.
func (v *video) Add(rgb []byte) error {
	if len(rgb) != v.size {
		return fmt.Errorf("video: a picture of %d bytes among those of %d: an environment's pictures must keep their size", len(rgb), v.size)
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
