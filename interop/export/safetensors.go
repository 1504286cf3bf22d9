package export

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A Tensor is a named array. Data is in row-major order.
type Tensor struct {
	Name  string
	Shape []int // empty: a single number
	Data  []float32
}

func (t Tensor) check() error {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	if n != len(t.Data) || t.Name == "" || t.Name == "__metadata__" {
		return fmt.Errorf("export: tensor %q of shape %v has %d numbers", t.Name, t.Shape, len(t.Data))
	}
	return nil
}

// WriteSafetensors writes float32 arrays in the safetensors format, sorted by name, with
// metadata. The same arrays give the same bytes.
func WriteSafetensors(out io.Writer, tensors []Tensor, metadata map[string]string) error {
	tensors = slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	type entry struct {
		DType string   `json:"dtype"`
		Shape []int    `json:"shape"`
		Span  [2]int64 `json:"data_offsets"`
	}
	header := map[string]any{}
	if len(metadata) > 0 {
		header["__metadata__"] = metadata
	}
	var at int64
	for _, t := range tensors {
		if err := t.check(); err != nil {
			return err
		}
		if _, twice := header[t.Name]; twice {
			return fmt.Errorf("export: two tensors have the name %s", t.Name)
		}
		end := at + 4*int64(len(t.Data))
		header[t.Name] = entry{"F32", append([]int{}, t.Shape...), [2]int64{at, end}}
		at = end
	}
	text, err := json.Marshal(header) // sorts by name
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	text = append(text, strings.Repeat(" ", -len(text)&7)...) // the data begin at a multiple of 8
	buffer := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	buffer = append(buffer, text...)
	for _, t := range tensors {
		buffer = append(buffer, littleEndian(t.Data)...)
	}
	if _, err := out.Write(buffer); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func littleEndian(data []float32) []byte {
	b := make([]byte, 0, 4*len(data))
	for _, x := range data {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
