package export_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/interop/export"
	"github.com/stein-rl/stein/policies"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// golden are the bytes that the PyPI package safetensors 0.8.0 read as a = [[1, 2],
// [3, 4]], b = 0.5 (a scalar) and the metadata k = v.
const golden = "88000000000000007b225f5f6d657461646174615f5f223a7b226b223a2276227d2c2261223a7b226474797065223a22463332222c227368617065223a5b322c325d2c22646174615f6f666673657473223a5b302c31365d7d2c2262223a7b226474797065223a22463332222c227368617065223a5b5d2c22646174615f6f666673657473223a5b31362c32305d7d7d" +
	"0000803f0000004000004040000080400000003f"

// Ensure that the bytes are those checked in Python, for any order of the tensors.
func TestSafetensors(t *testing.T) {
	var out bytes.Buffer
	tensors := []export.Tensor{{Name: "b", Data: []float32{0.5}}, {Name: "a", Shape: []int{2, 2}, Data: []float32{1, 2, 3, 4}}}
	if err := export.WriteSafetensors(&out, tensors, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(out.Bytes()); got != golden {
		t.Errorf("%s\nwant\n%s", got, golden)
	}
	for want, bad := range map[string][]export.Tensor{
		"has 1 numbers": {{Name: "a", Shape: []int{2}, Data: []float32{1}}},
		"two tensors":   {tensors[0], tensors[0]},
	} {
		if err := export.WriteSafetensors(&out, bad, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Ensure that this project's reader reads the same.
func TestReadBack(t *testing.T) {
	var out bytes.Buffer
	if err := export.WriteSafetensors(&out, []export.Tensor{{Name: "/x/w", Shape: []int{1, 2}, Data: []float32{3, 4}}}, nil); err != nil {
		t.Fatal(err)
	}
	s := model.NewStore()
	if err := checkpoint.ReadStore(&out, int64(out.Len()), s); err != nil {
		t.Fatal(err)
	}
	if v := s.GetVariable("/x/w"); v == nil || v.Shape().Size() != 2 {
		t.Errorf("%v", v)
	}
}

// Ensure that a particle policy is an error with its type, and missing weights with
// their name.
func TestONNXRefuses(t *testing.T) {
	err := export.WriteONNX(&bytes.Buffer{}, export.Policy{Kind: policies.NewStein(), ObsDim: 3, ActDim: 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "cannot write a policy of kind stein as ONNX") {
		t.Error(err)
	}
	err = export.WriteONNX(&bytes.Buffer{}, export.Policy{Kind: policies.NewGaussian(), ObsDim: 3, ActDim: 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "missing weights policy.gaussian.hidden_0.weights") {
		t.Error(err)
	}
}
