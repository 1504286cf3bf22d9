package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

type scalar struct {
	step  int64
	tag   string
	value float32
}

// read decodes a file of events down to its scalars and the number of its pictures.
func read(t *testing.T, path string) (version string, scalars []scalar, pictures int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		if len(data) < 16 {
			t.Fatalf("%d bytes after the last record", len(data))
		}
		n := binary.LittleEndian.Uint64(data)
		if got, want := binary.LittleEndian.Uint32(data[8:]), maskedCRC(data[:8]); got != want {
			t.Fatalf("checksum of the length is %#x, want %#x", got, want)
		}
		msg := data[12 : 12+n]
		if got, want := binary.LittleEndian.Uint32(data[12+n:]), maskedCRC(msg); got != want {
			t.Fatalf("checksum of a record is %#x, want %#x", got, want)
		}
		data = data[16+n:]

		event := fields(t, msg)
		if v := event[eventVersion]; v != nil {
			version = string(v[0])
		}
		step, _ := protowire.ConsumeVarint(first(event[eventStep]))
		for _, s := range event[eventSummary] {
			for _, v := range fields(t, s)[summaryValue] {
				value := fields(t, v)
				if value[valueImage] != nil {
					pictures++
					continue
				}
				bits, _ := protowire.ConsumeFixed32(value[valueScalar][0])
				scalars = append(scalars, scalar{int64(step), string(value[valueTag][0]), math.Float32frombits(bits)})
			}
		}
	}
	return version, scalars, pictures
}

func first(all [][]byte) []byte {
	if len(all) == 0 {
		return []byte{0}
	}
	return all[0]
}

func fields(t *testing.T, msg []byte) map[protowire.Number][][]byte {
	t.Helper()
	out := map[protowire.Number][][]byte{}
	for len(msg) > 0 {
		field, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		msg = msg[n:]
		size := protowire.ConsumeFieldValue(field, kind, msg)
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		value := msg[:size]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(msg)
		}
		out[field] = append(out[field], value)
		msg = msg[size:]
	}
	return out
}

// Ensure that the reader of this test, and so the checksum, agree with a file that
// TensorBoard 2.21's own writer made.
func TestGolden(t *testing.T) {
	version, scalars, _ := read(t, "testdata/tensorboard.tfevents")
	if version != "brain.Event:2" {
		t.Errorf("version %q", version)
	}
	want := []scalar{
		{1, "eval/mean_reward", -12.5}, {1, "train/loss", 0.25},
		{2, "eval/mean_reward", -25}, {2, "train/loss", 0.25},
		{300000000000, "eval/mean_reward", -12.5 * 300000000000}, {300000000000, "train/loss", 0.25},
	}
	if fmt.Sprint(scalars) != fmt.Sprint(want) {
		t.Errorf("scalars\n%v, want\n%v", scalars, want)
	}
}

// Ensure that what is written can be read, in a fresh run and in a resumed one.
func TestWriter(t *testing.T) {
	dir := t.TempDir()
	var want []scalar
	for _, from := range []int64{0, 20} {
		w, err := Create(dir, from)
		if err != nil {
			t.Fatal(err)
		}
		for step := from + 1; step < from+3; step++ {
			w.Scalars(step, map[string]float64{"b": math.Inf(1), "a": float64(step)})
			want = append(want, scalar{step, "a", float32(step)}, scalar{step, "b", float32(math.Inf(1))})
		}
		w.PNG(from+3, "samples", 2, 2, []byte("\x89PNG"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v: want two files", files, err)
	}
	var got []scalar
	for _, file := range files {
		version, scalars, pictures := read(t, file)
		if version != "brain.Event:2" || pictures != 1 {
			t.Errorf("%s: version %q, %d pictures", file, version, pictures)
		}
		got = append(got, scalars...)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("scalars\n%v, want\n%v", got, want)
	}
}

// Ensure that a full disk costs what did not fit, says so, and nothing that follows.
func TestFullDisk(t *testing.T) {
	w, err := Create(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	for step := range int64(3) {
		limit := before
		if step == 1 {
			limit.Cur = uint64(w.size) + 10 // in the midst of its record
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		w.Scalars(step, map[string]float64{"a": 1})
		if err := w.Flush(); (step == 1) != errors.Is(err, syscall.EFBIG) {
			t.Errorf("step %d: %v", step, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, got, _ := read(t, w.file.Name()); fmt.Sprint(got) != fmt.Sprint([]scalar{{0, "a", 1}, {2, "a", 1}}) {
		t.Errorf("scalars %v", got)
	}
}

// Ensure that a resumed run's file comes after the one before, even where the clock
// was set back.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	ahead := fmt.Sprintf("%s%010d.host.1.000000000", prefix, time.Now().Add(24*time.Hour).Unix())
	if err := os.WriteFile(filepath.Join(dir, ahead), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := Create(dir, 5)
	if err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(w.file.Name()); name <= ahead {
		t.Errorf("%s would be read before %s", name, ahead)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
