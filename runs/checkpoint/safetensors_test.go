package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/fnn"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/internal/enginetest"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// storeOf makes a store of values by path, in this order.
func storeOf(t testing.TB, paths []string, values map[string]any) *model.Store {
	t.Helper()
	s := model.NewStore()
	for _, p := range paths {
		value, ok := values[p].(*tensors.Tensor)
		if !ok {
			value = tensors.MustFromAnyValue(values[p])
		}
		_, err := s.CreateVariable(p, value)
		require.NoError(t, err)
	}
	return s
}

// everyType has a variable of every type that can be written, with values that
// a detour through another type would change.
func everyType(t testing.TB) *model.Store {
	values := map[string]any{
		"/z/f32": [][]float32{{float32(math.NaN()), float32(math.Copysign(0, -1)), 1e-45}, {float32(math.Inf(1)), 1, math.MaxFloat32}},
		"/f64":   []float64{math.Pi, 5e-324}, "/i64": int64(math.MinInt64), "/u64": []uint64{math.MaxUint64, 1},
		"/i32": []int32{math.MinInt32}, "/u32": []uint32{math.MaxUint32}, "/i16": []int16{-2, 3, 4},
		"/u16": []uint16{math.MaxUint16}, "/i8": []int8{-128}, "/u8": []uint8{255, 0, 1}, "/bool": []bool{true, false, true},
		"/f16": []float16.Float16{float16.FromFloat32(0.1)}, "/bf16": []bfloat16.BFloat16{bfloat16.FromFloat32(0.1)},
		"/c64": []complex64{complex(1, -2)}, "/none": tensors.FromShape(shapes.Make(dtypes.Float32, 3, 0)),
	}
	paths := []string{"/u8", "/z/f32", "/f64", "/none", "/i64", "/bool", "/u64", "/i32", "/u32", "/i16", "/u16", "/i8", "/f16", "/bf16", "/c64"}
	s := storeOf(t, paths, values)
	s.GetVariable("/i64").Trainable = false
	return s
}

func pathsOf(s *model.Store) (paths []string) {
	for v := range s.IterVariables() {
		paths = append(paths, v.Path())
	}
	return paths
}

func bytesOf(t testing.TB, v *model.Variable) []byte {
	t.Helper()
	value, err := v.Value()
	require.NoError(t, err)
	data := []byte{}
	if value.Size() > 0 {
		require.NoError(t, value.ConstBytes(func(b []byte) { data = bytes.Clone(b) }))
	}
	return data
}

// requireEqualStores compares bit by bit, and the order of creation.
func requireEqualStores(t testing.TB, want, got *model.Store) {
	t.Helper()
	require.Equal(t, pathsOf(want), pathsOf(got))
	for v := range want.IterVariables() {
		other := got.GetVariable(v.Path())
		require.True(t, v.Shape().Equal(other.Shape()), "%s: %s and %s", v.Path(), v.Shape(), other.Shape())
		require.Equal(t, bytesOf(t, v), bytesOf(t, other), v.Path())
		require.Equal(t, v.Trainable, other.Trainable, v.Path())
	}
}

func encode(t testing.TB, s *model.Store) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, checkpoint.WriteStore(&out, s))
	return out.Bytes()
}

func decode(data []byte, s *model.Store) error {
	return checkpoint.ReadStore(bytes.NewReader(data), int64(len(data)), s)
}

func TestStoreEveryType(t *testing.T) {
	want := everyType(t)
	root := t.TempDir()
	path, err := checkpoint.Write(root, 1, func(w *checkpoint.Writer) error { return w.Store("weights", want) })
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(path, "weights.safetensors"))
	c, _, err := checkpoint.Latest(root)
	require.NoError(t, err)

	fresh := model.NewStore()
	require.NoError(t, c.Store("weights", fresh))
	requireEqualStores(t, want, fresh)
	require.NoError(t, c.Store("weights", fresh), "into variables that exist")
	requireEqualStores(t, want, fresh)
	require.Equal(t, encode(t, want), encode(t, fresh), "equal stores make equal files")
}

func TestStoreFromPython(t *testing.T) {
	data, err := os.ReadFile("testdata/python.safetensors")
	require.NoError(t, err)
	s := model.NewStore()
	require.NoError(t, decode(data, s))
	for path, want := range map[string]any{
		"/net/weights": [][]float32{{1.5, -2, 3.25}, {math.Pi, 0, float32(math.Copysign(0, -1))}},
		"/net/bias":    []float64{1e-300, math.Inf(1)},
		"/count":       int64(1<<62 + 1),
		"/#rngState":   []uint64{math.MaxUint64, 1<<63 + 1, 7},
		"/mask":        []bool{true, false, true},
		"/bytes":       [][]uint8{{0}, {255}},
		"/half":        []float16.Float16{float16.FromFloat32(0.5), float16.FromFloat32(-65504)},
	} {
		v := s.GetVariable(path)
		require.NotNil(t, v, path)
		require.Equal(t, want, v.MustValue().Value(), path)
		require.True(t, v.Trainable)
	}
	require.Equal(t, []int{0, 4}, s.GetVariable("/empty").Shape().Dimensions)
}

func TestStoreToPython(t *testing.T) {
	python := filepath.Join("../..", ".venv", "bin", "python")
	if exec.Command(python, "-c", "import safetensors").Run() != nil {
		t.Skip("the virtual environment has no safetensors package")
	}
	s := everyType(t)
	file := filepath.Join(t.TempDir(), "store.safetensors")
	require.NoError(t, os.WriteFile(file, encode(t, s), 0o644))
	out, err := exec.Command(python, "testdata/read.py", file).Output()
	require.NoError(t, err)
	var got map[string][3]any
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got, s.NumVariables())
	for v := range s.IterVariables() {
		entry := got[v.Path()]
		dims := []any{}
		for _, d := range v.Shape().Dimensions {
			dims = append(dims, float64(d))
		}
		require.Equal(t, dims, entry[1], v.Path())
		require.Equal(t, hex.EncodeToString(bytesOf(t, v)), entry[2], v.Path())
	}
	require.Equal(t, "F32", got["/z/f32"][0])
	require.Equal(t, "U64", got["/u64"][0])
}

func TestStoreMismatch(t *testing.T) {
	data := encode(t, storeOf(t, []string{"/a/w", "/b"}, map[string]any{"/a/w": []float32{1, 2}, "/b": int32(5)}))
	for name, c := range map[string]struct {
		values map[string]any
		want   []string
	}{
		"shape":   {map[string]any{"/b": int32(9), "/a/w": []float32{1, 2, 3}}, []string{"/a/w", "[2]", "[3]"}},
		"type":    {map[string]any{"/b": float32(9)}, []string{"/b", "Int32", "Float32"}},
		"missing": {map[string]any{"/b": int32(9), "/c": float32(1)}, []string{"/c", "missing in the file"}},
	} {
		t.Run(name, func(t *testing.T) {
			paths := []string{}
			for p := range c.values {
				paths = append(paths, p)
			}
			slices.Sort(paths)
			s := storeOf(t, paths, c.values)
			before := encode(t, s)
			err := decode(data, s)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.Equal(t, before, encode(t, s), "a refused file must change nothing")
		})
	}
}

func TestStoreRefusesToWrite(t *testing.T) {
	s := model.NewStore()
	s.VariableWithShape("/empty", shapes.Make(dtypes.Float32, 2), nil)
	require.ErrorContains(t, checkpoint.WriteStore(&bytes.Buffer{}, s), "/empty")
	s = storeOf(t, []string{"/c"}, map[string]any{"/c": []complex128{1}})
	require.ErrorContains(t, checkpoint.WriteStore(&bytes.Buffer{}, s), "Complex128")
}

// A truncated file changes nothing, wherever it ends.
func TestStoreTruncated(t *testing.T) {
	data := encode(t, everyType(t))
	for n := range len(data) {
		s := model.NewStore()
		require.Error(t, decode(data[:n], s))
		require.Error(t, checkpoint.ReadStore(bytes.NewReader(data[:n]), int64(len(data)), s))
		require.Zero(t, s.NumVariables())
	}
}

// Training goes on from a store that was read, into a model that has been built
// or not, exactly as it would have: weights, Adam's moments, counters, random state.
func TestStoreResumesTraining(t *testing.T) {
	trainer := func(s *model.Store) func(steps int) {
		exec, err := model.NewExec(enginetest.Backend(t), s, func(scope *model.Scope, g *Graph) *Node {
			x := scope.RandomUniform(g, shapes.Make(dtypes.Float32, 16, 3))
			y := fnn.New(scope.At("net"), x, 1).Done()
			loss := ReduceAllMean(Square(Sub(y, ReduceAndKeep(x, ReduceSum, -1))))
			optimizer.Adam().LearningRate(1e-2).Done().UpdateGraph(scope.At("net"), g, loss)
			return loss
		})
		require.NoError(t, err)
		return func(steps int) {
			for range steps {
				_, err := exec.Call()
				require.NoError(t, err)
			}
		}
	}
	s := model.NewStore()
	s.SetRNGStateFromSeed(42)
	train := trainer(s)
	train(5)
	half := encode(t, s)
	train(5)
	end := encode(t, s)
	require.NotEqual(t, half, end)

	require.NoError(t, decode(half, s))
	train(5)
	require.Equal(t, end, encode(t, s), "in a model that has gone on")

	fresh := model.NewStore()
	require.NoError(t, decode(half, fresh))
	trainer(fresh)(5)
	requireEqualStores(t, s, fresh)
}

// Whatever the bytes are: an error or a store, no panic and no huge allocation.
func FuzzReadStore(f *testing.F) {
	data, err := os.ReadFile("testdata/python.safetensors")
	require.NoError(f, err)
	f.Add(data)
	f.Add(encode(f, everyType(f)))
	for _, header := range []string{
		`{}`, `{"/a":{"dtype":"F32","shape":[1073741824,1073741824,16],"data_offsets":[0,0]}}`,
		`{"/a":{"dtype":"U8","shape":[-1],"data_offsets":[0,-1]}}`, `{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
		`{"__metadata__":{"stein.order":"[1]"}}`, `{"/":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
		`{"/a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"/a/":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
	} {
		f.Add(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := model.NewStore()
		if decode(data, s) != nil {
			require.Zero(t, s.NumVariables())
			return
		}
		again := model.NewStore()
		require.NoError(t, decode(encode(t, s), again))
		requireEqualStores(t, s, again)
	})
}
