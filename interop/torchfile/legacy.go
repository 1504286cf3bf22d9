package torchfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/nlpodyssey/gopickle/types"
)

// legacyMagic is the first pickle of a file in the format before PyTorch 1.6: the number
// 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

// legacy reads the format before PyTorch 1.6 (torch.serialization._legacy_save): pickles of
// a magic number, the format's version, facts about the machine, the object, and the keys
// of its storages; then, for each key, the count of its numbers in eight bytes, and they.
func (r *reader) legacy(in io.ReaderAt, size int64) (map[string]Tensor, error) {
	if limit := int64(8*maxNumbers + maxPickle); size > limit {
		return nil, fmt.Errorf("the file has %d bytes, the limit is %d", size, limit)
	}
	rest := make([]byte, size)
	if _, err := in.ReadAt(rest, 0); err != nil && err != io.EOF {
		return nil, err
	}
	const magic, version, machine, object, keys = 0, 1, 2, 3, 4
	var parts [5]any
	for i := range parts {
		length, err := checkPickle(rest)
		if err == nil && i != magic {
			parts[i], err = r.unpickle(rest[:length])
		}
		if err != nil {
			return nil, fmt.Errorf("part %d of 5: %w", i+1, err)
		}
		rest = rest[length:]
	}
	if parts[version] != 1001 {
		return nil, fmt.Errorf("format %v, want 1001", parts[version])
	}
	if facts, ok := parts[machine].(*types.Dict); ok {
		if order, ok := facts.Get("little_endian"); ok && order != true {
			return nil, errors.New("byte order big, want little")
		}
	}
	list, ok := parts[keys].(*types.List)
	if !ok {
		return nil, errors.New("the storages have no list of keys")
	}
	for _, entry := range *list {
		key, _ := entry.(string)
		s, ok := r.storages[key]
		if !ok {
			return nil, fmt.Errorf("storage %v belongs to no tensor", entry)
		}
		if len(rest) < 8 || little.Uint64(rest) > uint64(len(rest)-8)/uint64(s.kind.bytes) {
			return nil, fmt.Errorf("storage %s is truncated", key)
		}
		length := 8 + int(little.Uint64(rest))*s.kind.bytes
		if err := s.fill(key, rest[8:length]); err != nil {
			return nil, err
		}
		rest = rest[length:]
	}
	return r.named(parts[object])
}
