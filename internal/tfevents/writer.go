// Package tfevents writes TensorBoard's event files: TFRecord frames with masked CRC-32C
// checksums around Event messages (tensorflow/core/util/event.proto).
package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of event.proto and summary.proto.
const (
	eventTime, eventStep, eventVersion, eventSummary, eventSession = 1, 2, 3, 5, 7

	sessionStatus, sessionStart = 1, 1

	summaryValue                         = 1
	valueTag, valueScalar, valueImage    = 1, 2, 4
	imageHeight, imageWidth              = 1, 2
	imageColours, imageEncoded, imageRGB = 3, 4, 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Writer appends events to one file. It is not safe for concurrent use.
type Writer struct {
	file    *os.File
	size    int64  // of complete records
	pending []byte // records to flush
}

// Create creates a new event file in a folder. TensorBoard shows all event files of a
// folder as one run. It discards earlier events at step from and later, as needed when a
// run is resumed. A new run passes 0.
func Create(dir string, from int64) (*Writer, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := fmt.Sprintf("%s%010d.%s.%d.%09d", prefix, nextSecond(dir), host, os.Getpid(), time.Now().Nanosecond())
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("tfevents: %w", err)
	}
	w := &Writer{file: file}
	version := protowire.AppendTag(nil, eventVersion, protowire.BytesType)
	version = protowire.AppendString(version, "brain.Event:2")
	session := protowire.AppendTag(nil, sessionStatus, protowire.VarintType)
	session = protowire.AppendVarint(session, sessionStart)
	start := protowire.AppendTag(nil, eventSession, protowire.BytesType)
	start = protowire.AppendBytes(start, session)
	w.event(0, version)
	w.event(from, start)
	if err := w.Flush(); err != nil {
		file.Close()
		return nil, err
	}
	return w, nil
}

const prefix = "events.out.tfevents."

// nextSecond is the current time, or later if the folder has newer files: TensorBoard
// reads files in the order of their names, and the clock may have been set back.
func nextSecond(dir string) int64 {
	next := time.Now().Unix()
	files, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, file := range files {
		second, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(file), prefix), ".")
		if n, err := strconv.ParseInt(second, 10, 64); err == nil {
			next = max(next, n+1)
		}
	}
	return next
}

// Scalars writes named figures of one step. It buffers; see Flush.
func (w *Writer) Scalars(step int64, figures map[string]float64) {
	var summary []byte
	for _, tag := range slices.Sorted(maps.Keys(figures)) {
		value := protowire.AppendTag(nil, valueTag, protowire.BytesType)
		value = protowire.AppendString(value, tag)
		value = protowire.AppendTag(value, valueScalar, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(figures[tag])))
		summary = appendMessage(summary, summaryValue, value)
	}
	w.event(step, appendMessage(nil, eventSummary, summary))
}

// PNG writes an image of one step, encoded as PNG. It buffers.
func (w *Writer) PNG(step int64, tag string, width, height int, png []byte) {
	var image []byte
	for _, f := range []struct {
		field protowire.Number
		value uint64
	}{{imageHeight, uint64(height)}, {imageWidth, uint64(width)}, {imageColours, imageRGB}} {
		image = protowire.AppendTag(image, f.field, protowire.VarintType)
		image = protowire.AppendVarint(image, f.value)
	}
	image = appendMessage(image, imageEncoded, png)
	value := appendMessage(nil, valueTag, []byte(tag))
	value = appendMessage(value, valueImage, image)
	w.event(step, appendMessage(nil, eventSummary, appendMessage(nil, summaryValue, value)))
}

// Flush writes the buffered records to the file: all of them or, on a full disk, none.
// Records that did not fit are dropped.
func (w *Writer) Flush() error {
	n, err := w.file.WriteAt(w.pending, w.size)
	w.pending = w.pending[:0]
	if err != nil {
		return fmt.Errorf("tfevents: %w", errors.Join(err, w.file.Truncate(w.size)))
	}
	w.size += int64(n)
	return nil
}

// Close flushes and closes the file.
func (w *Writer) Close() error {
	return errors.Join(w.Flush(), w.file.Close())
}

// event encodes one event: length, its checksum, the message, its checksum.
func (w *Writer) event(step int64, what []byte) {
	now := float64(time.Now().UnixNano()) / 1e9
	msg := protowire.AppendTag(nil, eventTime, protowire.Fixed64Type)
	msg = protowire.AppendFixed64(msg, math.Float64bits(now))
	msg = protowire.AppendTag(msg, eventStep, protowire.VarintType)
	msg = protowire.AppendVarint(msg, uint64(step))
	w.pending = appendRecord(w.pending, append(msg, what...))
}

func appendRecord(b, msg []byte) []byte {
	frame := binary.LittleEndian.AppendUint64(nil, uint64(len(msg)))
	frame = binary.LittleEndian.AppendUint32(frame, maskedCRC(frame))
	frame = append(frame, msg...)
	frame = binary.LittleEndian.AppendUint32(frame, maskedCRC(msg))
	return append(b, frame...)
}

// maskedCRC is TFRecord's checksum, rotated and shifted because a CRC of data that
// contains CRCs is weak (tensorflow/core/lib/hash/crc32c.h).
func maskedCRC(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

func appendMessage(b []byte, field protowire.Number, msg []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, msg)
}
