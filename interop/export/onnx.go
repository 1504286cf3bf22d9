package export

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers and constants of ONNX's onnx.proto.
const (
	modelIR, modelProducer, modelGraph, modelOpset, modelMeta     = 1, 2, 7, 8, 14
	graphNode, graphName, graphInit, graphInput, graphOutput      = 1, 2, 5, 11, 12
	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttr             = 1, 2, 3, 4, 5
	attrName, attrInt, attrInts, attrType                         = 1, 3, 8, 20
	tensorDims, tensorType, tensorName, tensorRaw                 = 1, 2, 8, 9
	irVersion, opset                                              = 8, 17
	typeFloat, typeInt64, typeDouble                          int = 1, 7, 11
	attrTypeInt, attrTypeInts                                 int = 2, 7
)

// A network is an ONNX graph under construction. Its methods return the name of the
// operation or constant that they add.
type network struct {
	graph protoMessage
	named string // name of the graph; empty: policy
	count int
}

// protoMessage is an encoded protocol buffers message.
type protoMessage []byte

func (m *protoMessage) bytes(field protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), b)
}

func (m *protoMessage) text(field protowire.Number, s string) { m.bytes(field, []byte(s)) }

func (m *protoMessage) int(field protowire.Number, i int) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(i))
}

// op adds an operation with one result.
func (n *network) op(kind string, inputs ...string) string {
	return n.opWith(kind, nil, inputs...)
}

// opWith is op with integer attributes.
func (n *network) opWith(kind string, attributes map[string]int, inputs ...string) string {
	n.count++
	name := fmt.Sprintf("%s_%d", kind, n.count)
	n.add(kind, name, attributes, inputs...)
	return name
}

func (n *network) add(kind, output string, attributes map[string]int, inputs ...string) {
	var node protoMessage
	for _, in := range inputs {
		node.text(nodeInput, in)
	}
	node.text(nodeOutput, output)
	node.text(nodeName, output)
	node.text(nodeOp, kind)
	for name, value := range attributes {
		var a protoMessage
		a.text(attrName, name)
		a.int(attrInt, value)
		a.int(attrType, attrTypeInt)
		node.bytes(nodeAttr, a)
	}
	n.graph.bytes(graphNode, node)
}

// opLists is op with list attributes.
func (n *network) opLists(kind string, attributes map[string][]int, inputs ...string) string {
	n.count++
	name := fmt.Sprintf("%s_%d", kind, n.count)
	var node protoMessage
	for _, in := range inputs {
		node.text(nodeInput, in)
	}
	node.text(nodeOutput, name)
	node.text(nodeName, name)
	node.text(nodeOp, kind)
	for key, list := range attributes {
		var a protoMessage
		a.text(attrName, key)
		for _, i := range list {
			a.int(attrInts, i)
		}
		a.int(attrType, attrTypeInts)
		node.bytes(nodeAttr, a)
	}
	n.graph.bytes(graphNode, node)
	return name
}

func (n *network) transpose(x string, order ...int) string {
	return n.opLists("Transpose", map[string][]int{"perm": order}, x)
}

// reshape infers the size of an axis given as -1.
func (n *network) reshape(x string, dims ...int) string {
	return n.op("Reshape", x, n.integers(dims...))
}

// array adds a constant.
func (n *network) array(t Tensor) string {
	var m protoMessage
	for _, d := range t.Shape {
		m.int(tensorDims, d)
	}
	m.int(tensorType, typeFloat)
	m.text(tensorName, t.Name)
	m.bytes(tensorRaw, littleEndian(t.Data))
	n.graph.bytes(graphInit, m)
	return t.Name
}

// number adds a scalar constant.
func (n *network) number(x float64) string {
	n.count++
	return n.array(Tensor{Name: fmt.Sprintf("number_%d", n.count), Data: []float32{float32(x)}})
}

// doubles adds a constant list of 64-bit numbers.
func (n *network) doubles(name string, list []float64) string {
	var m protoMessage
	m.int(tensorDims, len(list))
	n.double64(m, name, list)
	return name
}

// double adds a 64-bit scalar constant.
func (n *network) double(x float64) string {
	n.count++
	name := fmt.Sprintf("double_%d", n.count)
	n.double64(nil, name, []float64{x})
	return name
}

// double64 completes a constant; m holds its dimensions.
func (n *network) double64(m protoMessage, name string, list []float64) {
	m.int(tensorType, typeDouble)
	m.text(tensorName, name)
	var raw []byte
	for _, x := range list {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
	}
	m.bytes(tensorRaw, raw)
	n.graph.bytes(graphInit, m)
}

// axis adds the axis of a reduction as a list of one.
func (n *network) axis(i int) string { return n.integers(i) }

// integers adds a constant list of integers.
func (n *network) integers(list ...int) string {
	n.count++
	name := fmt.Sprintf("integers_%d", n.count)
	var m protoMessage
	m.int(tensorDims, len(list))
	m.int(tensorType, typeInt64)
	m.text(tensorName, name)
	var raw []byte
	for _, i := range list {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(i))
	}
	m.bytes(tensorRaw, raw)
	n.graph.bytes(graphInit, m)
	return name
}

// end adds an input or output of the network, float32 [N, width]; width 0: [N].
func (n *network) end(field protowire.Number, name string, width int) {
	if width > 0 {
		n.shaped(field, name, width)
	} else {
		n.shaped(field, name)
	}
}

// shaped adds an input or output of the network, float32 [N, dims...].
func (n *network) shaped(field protowire.Number, name string, dims ...int) {
	var batch, shape, tensor, typ, info protoMessage
	batch.text(2, "N") // dim_param
	shape.bytes(1, batch)
	for _, d := range dims {
		var dim protoMessage
		dim.int(1, d)
		shape.bytes(1, dim)
	}
	tensor.int(1, typeFloat)
	tensor.bytes(2, shape)
	typ.bytes(1, tensor)
	info.text(1, name)
	info.bytes(2, typ)
	n.graph.bytes(field, info)
}

// write completes the model and writes it.
func (n *network) write(out io.Writer, metadata map[string]string) error {
	n.graph.text(graphName, cmp.Or(n.named, "policy"))
	var set, model protoMessage
	set.text(1, "")
	set.int(2, opset)
	model.int(modelIR, irVersion)
	model.text(modelProducer, "stein")
	model.bytes(modelGraph, n.graph)
	model.bytes(modelOpset, set)
	for key, value := range metadata {
		var entry protoMessage
		entry.text(1, key)
		entry.text(2, value)
		model.bytes(modelMeta, entry)
	}
	if _, err := out.Write(model); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// activate adds an activation function.
func (n *network) activate(name, x string) (string, error) {
	switch name {
	case "relu":
		return n.op("Relu", x), nil
	case "elu":
		return n.op("Elu", x), nil
	case "tanh":
		return n.op("Tanh", x), nil
	case "silu":
		return n.op("Mul", x, n.op("Sigmoid", x)), nil
	case "gelu":
		erf := n.op("Erf", n.op("Mul", x, n.number(1/math.Sqrt2)))
		return n.op("Mul", n.op("Mul", x, n.number(0.5)), n.op("Add", erf, n.number(1))), nil
	}
	return "", fmt.Errorf("export: activation %q is not supported for ONNX", name)
}
