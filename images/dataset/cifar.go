package dataset

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/stein-rl/stein/internal/fetch"

	"github.com/stein-rl/stein/internal/regular"
)

// CIFAR-10's binary version: files of 10,000 records, each a label and the red, green and
// blue planes of 32×32 bytes (https://www.cs.toronto.edu/~kriz/cifar.html).
const (
	cifarSide    = 32
	cifarPlane   = cifarSide * cifarSide
	cifarRecord  = 1 + 3*cifarPlane
	cifarRecords = 10000
	cifarLabels  = 10
	cifarFolder  = "cifar-10-batches-bin"
)

var cifarArchive = fetch.File{
	URL:    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
	Name:   "cifar-10-binary.tar.gz",
	Size:   170052171,
	SHA256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
}

// cifarPickled are files of the Python version, which torchvision downloads.
var cifarPickled = []string{"data_batch_1", "cifar-10-batches-py", "cifar-10-python.tar.gz"}

func cifarFiles(split string) []string {
	if split == "test" {
		return []string{"test_batch.bin"}
	}
	names := make([]string, 5)
	for i := range names {
		names[i] = fmt.Sprintf("data_batch_%d.bin", i+1)
	}
	return names
}

// openCIFAR looks in s.Path for the files, their folder, or the archive.
func openCIFAR(ctx context.Context, s Source) (*Images, error) {
	m := &Images{Height: cifarSide, Width: cifarSide, Channels: 3}
	names := cifarFiles(s.Split)
	dirs := []string{s.Path}
	if s.Path == "" {
		dirs = folders("cifar10")
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			return m, m.readArchive(ctx, dir, names)
		}
		for _, d := range []string{dir, filepath.Join(dir, cifarFolder)} {
			if exists(filepath.Join(d, names[0])) {
				return m, m.readFiles(ctx, d, names)
			}
		}
		if archive := filepath.Join(dir, cifarArchive.Name); exists(archive) {
			if err := cifarArchive.Check(archive); err != nil {
				return nil, fmt.Errorf("dataset: %w", err)
			}
			return m, m.readArchive(ctx, archive, names)
		}
		for _, name := range cifarPickled {
			if exists(filepath.Join(dir, name)) {
				return nil, fmt.Errorf("dataset: %s is the Python version of CIFAR-10: want the binary version, %s", filepath.Join(dir, name), cifarArchive.Name)
			}
		}
	}
	if !s.Download {
		return nil, fmt.Errorf("dataset: CIFAR-10 not found in %s: put %s (from %s) there or enable its download", dirs[0], cifarArchive.Name, cifarArchive.URL)
	}
	archive, err := fetch.Get(ctx, cifarArchive, dirs[0], s.Progress)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return m, m.readArchive(ctx, archive, names)
}

func (m *Images) readFiles(ctx context.Context, dir string, names []string) error {
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.readFile(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (m *Images) readFile(name string) error {
	file, err := regular.Open(name)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer file.Close()
	return m.readCIFAR(file, name, cifarRecords)
}

// readArchive reads the named files from the archive, in the archive's order, which
// differs from their numbering.
func (m *Images) readArchive(ctx context.Context, archive string, names []string) error {
	file, err := regular.Open(archive)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer file.Close()
	plain, err := unzipped(file)
	if err != nil {
		return fmt.Errorf("dataset: %s: %w", archive, err)
	}
	parts := make(map[string]*Images, len(names))
	for _, name := range names {
		parts[name] = nil
	}
	for in := tar.NewReader(plain); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("dataset: %s: %w", archive, err)
		}
		name := path.Base(header.Name)
		if _, wanted := parts[name]; !wanted {
			continue
		}
		part := &Images{Height: cifarSide, Width: cifarSide, Channels: 3}
		if err := part.readCIFAR(in, archive+":"+header.Name, cifarRecords); err != nil {
			return err
		}
		parts[name] = part
	}
	for _, name := range names {
		if parts[name] == nil {
			return fmt.Errorf("dataset: %s has no %s: it is not CIFAR-10's binary version", archive, name)
		}
		m.Pixels = append(m.Pixels, parts[name].Pixels...)
		m.Labels = append(m.Labels, parts[name].Labels...)
	}
	return nil
}

// readCIFAR appends exactly the given number of records. name is for errors.
func (m *Images) readCIFAR(in io.Reader, name string, records int) error {
	record := make([]byte, cifarRecord)
	for i := range records {
		at := int64(i) * cifarRecord
		n, err := io.ReadFull(in, record)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("dataset: %s: at offset %d: %w", name, at+int64(n), err)
		}
		if err != nil {
			return fmt.Errorf("dataset: %s ends at offset %d, in record %d of %d: it is truncated", name, at+int64(n), i, records)
		}
		if record[0] >= cifarLabels {
			return fmt.Errorf("dataset: %s: label %d at offset %d: want 0 to %d; this is not CIFAR-10's binary version, or it is damaged", name, record[0], at, cifarLabels-1)
		}
		m.Labels = append(m.Labels, int(record[0]))
		for p := range cifarPlane {
			m.Pixels = append(m.Pixels, record[1+p], record[1+cifarPlane+p], record[1+2*cifarPlane+p])
		}
	}
	if n, _ := io.ReadFull(in, record[:1]); n != 0 {
		return fmt.Errorf("dataset: %s has more data at offset %d, after %d records: it is not CIFAR-10's binary version", name, int64(records)*cifarRecord, records)
	}
	return nil
}
