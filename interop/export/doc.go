// Package export writes trained agents for other programs: weights as safetensors,
// policies as ONNX.
package export
