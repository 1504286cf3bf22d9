package checkpoint

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/stein-rl/stein/internal/settings"
)

// The safetensors format: the length of the header as a little-endian uint64, the header
// (JSON: name -> type, shape, start and end of the data, and free text in __metadata__),
// then the data of all tensors without gaps. XLA and this package support only
// little-endian machines, so the data is written as it is in memory.

const (
	maxHeader   = 100e6 // bytes, the limit of the format
	metadataKey = "__metadata__"
	orderKey    = "stein.order"  // JSON list of the variables in the order of their creation
	frozenKey   = "stein.frozen" // JSON list of the variables that are not Trainable
)

// typeNames are the types that both safetensors and GoMLX have.
var typeNames = map[dtypes.DType]string{
	dtypes.Bool: "BOOL",
	dtypes.Int8: "I8", dtypes.Int16: "I16", dtypes.Int32: "I32", dtypes.Int64: "I64",
	dtypes.Uint8: "U8", dtypes.Uint16: "U16", dtypes.Uint32: "U32", dtypes.Uint64: "U64",
	dtypes.Float16: "F16", dtypes.BFloat16: "BF16", dtypes.Float32: "F32", dtypes.Float64: "F64",
	dtypes.Complex64: "C64",
}

// A tensorInfo is one entry of the header.
type tensorInfo struct {
	DType string   `json:"dtype"`
	Shape []int    `json:"shape"`
	Span  [2]int64 `json:"data_offsets"` // from the end of the header
}

// WriteStore writes the variables of s as safetensors under their full paths. The
// metadata store their order of creation and which are not Trainable.
func WriteStore(out io.Writer, s *model.Store) error {
	variables := slices.Collect(s.IterVariables())
	order, frozen := []string{}, []string{}
	for _, v := range variables {
		order = append(order, v.Path())
		if !v.Trainable {
			frozen = append(frozen, v.Path())
		}
	}
	// Wide types first, so that every tensor is aligned.
	slices.SortStableFunc(variables, func(a, b *model.Variable) int {
		return cmp.Compare(b.DType().Size(), a.DType().Size())
	})
	header, err := headerOf(variables, map[string][]string{orderKey: order, frozenKey: frozen})
	if err != nil {
		return err
	}
	if err := binary.Write(out, binary.LittleEndian, uint64(len(header))); err != nil {
		return err
	}
	if _, err := out.Write(header); err != nil {
		return err
	}
	for _, v := range variables {
		if err := writeValue(out, v); err != nil {
			return fmt.Errorf("variable %s: %w", v.Path(), err)
		}
	}
	return nil
}

// headerOf builds the header for data in the order of variables.
func headerOf(variables []*model.Variable, lists map[string][]string) ([]byte, error) {
	header := make(map[string]any, len(variables)+1)
	var at int64
	for _, v := range variables {
		name, ok := typeNames[v.DType()]
		if !ok {
			return nil, fmt.Errorf("variable %s: safetensors does not support type %s", v.Path(), v.DType())
		}
		if !v.HasValue() {
			return nil, fmt.Errorf("variable %s has no value: initialise the store before saving it", v.Path())
		}
		end := at + v.Shape().ByteSize()
		header[v.Path()] = tensorInfo{name, append([]int{}, v.Shape().Dimensions...), [2]int64{at, end}}
		at = end
	}
	metadata := map[string]string{"format": "gomlx"} // values are text there
	for key, list := range lists {
		text, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		metadata[key] = string(text)
	}
	header[metadataKey] = metadata
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	return append(text, strings.Repeat(" ", -len(text)&7)...), nil // align the data to 8 bytes
}

func writeValue(out io.Writer, v *model.Variable) error {
	value, err := v.Value()
	if err != nil || value.Size() == 0 {
		return err
	}
	var written error
	err = value.ConstBytes(func(data []byte) { _, written = out.Write(data) })
	return cmp.Or(err, written)
}

// ReadStore reads safetensors of size bytes into the variables of s. It creates variables
// that s lacks, in their original order. Variables that s has must all be in the file,
// with the same type and shape. If they are not, or the file is damaged, s does not
// change. No graph that uses s may run meanwhile.
func ReadStore(in io.Reader, size int64, s *model.Store) error {
	header, err := readHeader(in, size)
	if err != nil {
		return err
	}
	if err := header.fits(s); err != nil {
		return err
	}
	values := make(map[string]*tensors.Tensor, len(header.data))
	for _, name := range header.data {
		if values[name], err = readValue(in, header.shapes[name]); err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
	}
	for _, name := range header.creationOrder() {
		if v := s.GetVariable(name); v != nil {
			if err := v.SetValue(values[name]); err != nil {
				return fmt.Errorf("variable %s: %w", name, err)
			}
			continue
		}
		v, err := s.CreateVariable(name, values[name])
		if err != nil {
			return err
		}
		v.Trainable = !slices.Contains(header.frozen, name)
	}
	return nil
}

// ReadTensors reads safetensors of size bytes, from any program, by name.
func ReadTensors(in io.Reader, size int64) (map[string]*tensors.Tensor, error) {
	header, err := readHeader(in, size)
	if err != nil {
		return nil, err
	}
	values := make(map[string]*tensors.Tensor, len(header.data))
	for _, name := range header.data {
		if values[name], err = readValue(in, header.shapes[name]); err != nil {
			return nil, fmt.Errorf("safetensors: %s: %w", name, err)
		}
	}
	return values, nil
}

func readValue(in io.Reader, shape shapes.Shape) (*tensors.Tensor, error) {
	value := tensors.FromShape(shape)
	if value.Size() == 0 {
		return value, nil
	}
	var read error
	err := value.MutableBytes(func(data []byte) { _, read = io.ReadFull(in, data) })
	return value, cmp.Or(err, read)
}

// A tensorHeader is a validated header.
type tensorHeader struct {
	data          []string // names in the order of their data
	shapes        map[string]shapes.Shape
	order, frozen []string // lists in the metadata; empty in files of other programs
}

// creationOrder is the names sorted by order; the rest follow.
func (h *tensorHeader) creationOrder() []string {
	rank := make(map[string]int, len(h.order))
	for i, name := range h.order {
		rank[name] = i - len(h.order) // names not in order have 0 and come last
	}
	names := slices.Clone(h.data)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(rank[a], rank[b]) })
	return names
}

func readHeader(in io.Reader, size int64) (*tensorHeader, error) {
	var length uint64
	if err := binary.Read(in, binary.LittleEndian, &length); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if length > maxHeader || int64(length) > size-8 {
		return nil, fmt.Errorf("safetensors: the header has %d bytes, the file %d", length, size)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	var entries map[string]json.RawMessage
	if err := settings.FromJSON(text, &entries); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	h := &tensorHeader{shapes: map[string]shapes.Shape{}}
	if err := h.readMetadata(entries[metadataKey]); err != nil {
		return nil, err
	}
	delete(entries, metadataKey)
	spans := make(map[string][2]int64, len(entries))
	for name, raw := range entries {
		var info tensorInfo
		if err := settings.FromJSON(raw, &info); err != nil {
			return nil, fmt.Errorf("safetensors: header of %s: %w", name, err)
		}
		shape, err := info.shape()
		if err != nil {
			return nil, fmt.Errorf("safetensors: header of %s: %w", name, err)
		}
		h.data = append(h.data, name)
		h.shapes[name], spans[name] = shape, info.Span
	}
	slices.SortFunc(h.data, func(a, b string) int {
		return cmp.Or(cmp.Compare(spans[a][0], spans[b][0]), cmp.Compare(spans[a][1], spans[b][1]), cmp.Compare(a, b))
	})
	var at int64
	for _, name := range h.data {
		if spans[name][0] != at {
			return nil, fmt.Errorf("safetensors: the data of %s start at %d, want %d", name, spans[name][0], at)
		}
		at = spans[name][1]
	}
	if at != size-8-int64(length) {
		return nil, fmt.Errorf("safetensors: %d bytes of data, the header says %d", size-8-int64(length), at)
	}
	return h, nil
}

// readMetadata reads the lists that WriteStore stored.
func (h *tensorHeader) readMetadata(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	metadata := map[string]string{}
	if err := settings.FromJSON(raw, &metadata); err != nil {
		return fmt.Errorf("safetensors: %s: %w", metadataKey, err)
	}
	for key, list := range map[string]*[]string{orderKey: &h.order, frozenKey: &h.frozen} {
		if text, ok := metadata[key]; ok {
			if err := settings.FromJSON([]byte(text), list); err != nil {
				return fmt.Errorf("safetensors: %s in %s: %w", key, metadataKey, err)
			}
		}
	}
	return nil
}

// shape validates a single entry: a known type, and data of the size of its shape.
func (t tensorInfo) shape() (shapes.Shape, error) {
	for dtype, name := range typeNames {
		if name != t.DType {
			continue
		}
		bytes := uint64(dtype.Size())
		for _, dim := range t.Shape {
			over, low := bits.Mul64(bytes, uint64(dim))
			if dim < 0 || over != 0 {
				return shapes.Shape{}, fmt.Errorf("shape %v", t.Shape)
			}
			bytes = low
		}
		if t.Span[0] < 0 || t.Span[1] < t.Span[0] || uint64(t.Span[1]-t.Span[0]) != bytes {
			return shapes.Shape{}, fmt.Errorf("data from %d to %d for %s%v, which has %d bytes", t.Span[0], t.Span[1], t.DType, t.Shape, bytes)
		}
		return shapes.Make(dtype, t.Shape...), nil
	}
	return shapes.Shape{}, fmt.Errorf("type %q", t.DType)
}

// fits compares the variables in the file with those in the store.
func (h *tensorHeader) fits(s *model.Store) error {
	for v := range s.IterVariables() {
		shape, ok := h.shapes[v.Path()]
		if !ok {
			return fmt.Errorf("variable %s of the model, %s, is missing in the file: it is from another model or configuration", v.Path(), v.Shape())
		}
		if !shape.Equal(v.Shape()) {
			return fmt.Errorf("variable %s is %s in the file and %s in the model: the file is from another model or configuration", v.Path(), shape, v.Shape())
		}
	}
	for _, name := range h.data {
		if !strings.HasPrefix(name, model.ScopeSeparator) {
			return fmt.Errorf("variable %q has no scope: the file was not written by this program", name)
		}
	}
	return nil
}
