package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stein-rl/stein/internal/regular"
)

// IDX, the format of MNIST: two zero bytes, a type (8: unsigned byte), the number of
// axes, the axes as big-endian uint32, the data (http://yann.lecun.com/exdb/mnist).
const idxByte = 8

// idxLimit exceeds any real data set and keeps a bad header from exhausting the memory.
const idxLimit = 1 << 31

// fashionFolder is where Debian's package dataset-fashion-mnist installs its files.
const fashionFolder = "/usr/share/datasets/fashion-mnist"

// openIDX reads MNIST or Fashion-MNIST from a folder with their files, in any of the
// layouts in which they are distributed.
func openIDX(ctx context.Context, s Source) (*Images, error) {
	prefix := map[string]string{"train": "train", "test": "t10k"}[s.Split]
	dirs := []string{s.Path}
	if s.Path == "" {
		dirs = folders(s.Name)
		if s.Name == "fashion-mnist" {
			dirs = append(dirs, fashionFolder)
		}
	}
	for _, dir := range idxFolders(s.Name, dirs) {
		images := findIDX(dir, prefix+"-images")
		labels := findIDX(dir, prefix+"-labels")
		if images == "" && labels == "" {
			continue
		}
		if images == "" || labels == "" {
			return nil, fmt.Errorf("dataset: %s has only one of %s's images and labels", dir, s.Split)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return readIDXPair(images, labels)
	}
	if other := otherIDX(idxFolders(s.Name, dirs), prefix); other != "" {
		return nil, fmt.Errorf("dataset: %s has no files of %s's split %s, only %s", filepath.Dir(other), s.Name, s.Split, filepath.Base(other))
	}
	hint := "its four files (train-images-idx3-ubyte and so on, gzipped or not) are neither there nor in MNIST/raw below"
	if s.Name == "fashion-mnist" {
		hint = "its four files (train-images-idx3-ubyte and so on, gzipped or not) are neither there nor in FashionMNIST/raw below; `make data` installs them on Debian and Ubuntu"
	}
	return nil, fmt.Errorf("dataset: %s not found in %s: %s", s.Name, strings.Join(dirs, ", "), hint)
}

// otherIDX finds the images of the other split, if they are there.
func otherIDX(dirs []string, prefix string) string {
	other := map[string]string{"train": "t10k", "t10k": "train"}[prefix]
	for _, dir := range dirs {
		if path := findIDX(dir, other+"-images"); path != "" {
			return path
		}
	}
	return ""
}

// idxFolders are the folders to search for the named paths. A file stands for its folder,
// and torchvision stores the files two folders down.
func idxFolders(set string, named []string) []string {
	theirs := map[string]string{"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[set]
	var dirs []string
	for _, dir := range named {
		if isFile(dir) {
			dir = filepath.Dir(dir)
		}
		dirs = append(dirs, dir, filepath.Join(dir, theirs, "raw"), filepath.Join(dir, "raw"))
	}
	return dirs
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// findIDX finds a file with a hyphen or a dot in its name, plain or gzipped, also in a
// folder of the same name, as some archives unpack. The content decides whether it is
// gzipped.
func findIDX(dir, start string) string {
	rank := "3"
	if strings.HasSuffix(start, "labels") {
		rank = "1"
	}
	for _, end := range []string{"-idx" + rank + "-ubyte", ".idx" + rank + "-ubyte"} {
		for _, zip := range []string{"", ".gz"} {
			name := start + end + zip
			for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, name, name)} {
				if isFile(path) {
					return path
				}
			}
		}
	}
	return ""
}

func readIDXPair(images, labels string) (*Images, error) {
	axes, pixels, err := readIDXFile(images, 3)
	if err != nil {
		return nil, err
	}
	labelAxes, label, err := readIDXFile(labels, 1)
	if err != nil {
		return nil, err
	}
	if axes[0] != labelAxes[0] {
		return nil, fmt.Errorf("dataset: %d images in %s, %d labels in %s", axes[0], images, labelAxes[0], labels)
	}
	m := &Images{Height: axes[1], Width: axes[2], Channels: 1, Pixels: pixels, Labels: make([]int, len(label))}
	if m.Size() == 0 {
		return nil, fmt.Errorf("dataset: %s: images of %d×%d", images, axes[1], axes[2])
	}
	const header, most = 8, 9
	for i, l := range label {
		if l > most {
			return nil, fmt.Errorf("dataset: %s: label %d at offset %d: want 0 to %d", labels, l, header+i, most)
		}
		m.Labels[i] = int(l)
	}
	return m, nil
}

// readIDXFile reads a plain or gzipped file; offsets in errors refer to the plain data.
func readIDXFile(name string, rank int) (axes []int, data []byte, err error) {
	file, err := regular.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	defer file.Close()
	plain, err := unzipped(file)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %s: %w", name, err)
	}
	return readIDX(plain, name, rank)
}

// unzipped reads a file that may be gzipped or not, whatever its name.
func unzipped(file io.Reader) (io.Reader, error) {
	in := bufio.NewReader(file)
	if start, _ := in.Peek(2); bytes.Equal(start, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(in)
	}
	return in, nil
}

// readIDX reads byte data with the given number of axes, and nothing after it.
func readIDX(in io.Reader, name string, rank int) (axes []int, data []byte, err error) {
	header := make([]byte, 4+4*rank)
	if n, err := io.ReadFull(in, header[:4]); err != nil {
		return nil, nil, idxCut(name, n, len(header), err)
	}
	if want := []byte{0, 0, idxByte, byte(rank)}; !bytes.Equal(header[:4], want) {
		return nil, nil, fmt.Errorf("dataset: %s starts with % x at offset 0: want % x, IDX of bytes with %d axes", name, header[:4], want, rank)
	}
	if n, err := io.ReadFull(in, header[4:]); err != nil {
		return nil, nil, idxCut(name, 4+n, len(header), err)
	}
	size := 1
	for i := range rank {
		axis := int(binary.BigEndian.Uint32(header[4+4*i:]))
		if size *= axis; size > idxLimit {
			return nil, nil, fmt.Errorf("dataset: %s: axis of %d at offset %d makes more than %d bytes", name, axis, 4+4*i, idxLimit)
		}
		axes = append(axes, axis)
	}
	// Grow as data arrive: the header may promise more than exists.
	var buf bytes.Buffer
	n, err := io.CopyN(&buf, in, int64(size))
	if err != nil {
		return nil, nil, idxCut(name, len(header)+int(n), len(header)+size, err)
	}
	// Read one byte more, which also verifies the checksum of a gzipped file.
	n, err = io.CopyN(io.Discard, in, 1)
	if n != 0 {
		return nil, nil, fmt.Errorf("dataset: %s has more data at offset %d, beyond the size in its header", name, len(header)+size)
	}
	if !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("dataset: %s: at offset %d: %w", name, len(header)+size, err)
	}
	return axes, buf.Bytes(), nil
}

func idxCut(name string, at, want int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("dataset: %s ends at offset %d of %d: it is truncated", name, at, want)
	}
	return fmt.Errorf("dataset: %s: at offset %d: %w", name, at, err)
}
