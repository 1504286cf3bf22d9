// Package export writes trained agents for other programs, and reads theirs: weights
// as safetensors, policies as ONNX, and Stable-Baselines3's.
package export
