package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Source selects the images to read. Only Name is required.
type Source struct {
	Name string // cifar10, mnist, fashion-mnist, folder
	// Path is the folder or archive. Empty: the default places for downloads and system
	// packages (none for a folder of images).
	Path  string
	Split string // train or test; empty: train; a folder of images has only train
	// Size is the side to which images are scaled by averaging areas; 0: unchanged. A
	// folder of images needs a size; its images are first cropped to squares.
	Size int
	Grey bool // convert three channels to luma (ITU-R BT.601)

	// Download fetches missing files (CIFAR-10), verifies their checksum, and resumes an
	// interrupted download.
	Download bool
	// Progress is called with the bytes received so far and in total; may be nil.
	Progress func(done, total int64)
}

// Names are the data sets that Open supports.
var Names = []string{"cifar10", "mnist", "fashion-mnist", "folder"}

// Open reads a data set into memory. Errors about truncated or wrong files contain the
// file and the offset.
func Open(ctx context.Context, s Source) (*Images, error) {
	if s.Split == "" {
		s.Split = "train"
	}
	if s.Split != "train" && s.Split != "test" {
		return nil, fmt.Errorf("dataset: split %q: want train or test", s.Split)
	}
	var m *Images
	var err error
	switch s.Name {
	case "cifar10":
		m, err = openCIFAR(ctx, s)
	case "mnist", "fashion-mnist":
		m, err = openIDX(ctx, s)
	case "folder":
		m, err = openFolder(ctx, s)
	default:
		return nil, fmt.Errorf("dataset: unknown data set %q, want one of %s", s.Name, strings.Join(Names, ", "))
	}
	if err != nil {
		return nil, err
	}
	if m.Len() == 0 {
		return nil, fmt.Errorf("dataset: %s has no images", strings.TrimSpace(s.Name+" "+s.Path))
	}
	if s.Grey {
		m = m.grey()
	}
	if s.Size > 0 {
		if m, err = m.shrink(s.Size); err != nil {
			return nil, err
		}
	}
	m.Name = fmt.Sprintf("%s %s, %d×%d", s.Name, s.Split, m.Width, m.Height)
	if s.Name == "folder" {
		m.Name = fmt.Sprintf("%s, %d×%d", s.Path, m.Width, m.Height)
	}
	return m, nil
}

// folders are the default places of a data set. Downloads go to the first.
func folders(name string) []string {
	cache, err := os.UserCacheDir()
	if err != nil { // no home folder
		cache = os.TempDir()
	}
	return []string{filepath.Join(cache, "stein", "data", name)}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
