package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	mathbits "math/bits"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// slack is how many more values than the page's the runs of a page may claim:
// writers fill the last group of packed values up.
const slack = 1024

var errRuns = errors.New("its runs claim more values than the page")

// content checks what the unpacked bytes of a data page claim to hold: a run of
// some bytes can stand for billions of values.
func (c *chunk) content(h *format.PageHeader, levels, data []byte) error {
	if v2 := h.DataPageHeaderV2; v2.Valid {
		n := v2.V.RepetitionLevelsByteLength
		values := int(v2.V.NumValues)
		return errors.Join(
			levelRuns(levels[:n], c.leaf.MaxRepetitionLevel, values),
			levelRuns(levels[n:], c.leaf.MaxDefinitionLevel, values),
			encoded(v2.V.Encoding, data, values))
	}
	v1 := h.DataPageHeader
	if !v1.Valid {
		return nil // a dictionary is plain
	}
	values := int(v1.V.NumValues)
	for _, l := range []struct {
		most int
		form format.Encoding
	}{{c.leaf.MaxRepetitionLevel, v1.V.RepetitionLevelEncoding}, {c.leaf.MaxDefinitionLevel, v1.V.DefinitionLevelEncoding}} {
		if l.most == 0 || l.form != format.RLE {
			continue
		}
		inner, rest, err := prefixed(data)
		if err == nil {
			err = levelRuns(inner, l.most, values)
		}
		if err != nil {
			return err
		}
		data = rest
	}
	return encoded(v1.V.Encoding, data, values)
}

// encoded checks values by their encoding.
func encoded(form format.Encoding, data []byte, values int) error {
	switch form {
	case format.RLEDictionary, format.PlainDictionary: //nolint:staticcheck // files of before have it
		if len(data) == 0 {
			return nil
		}
		return runs(data[1:], uint(data[0]), values)
	case format.RLE:
		inner, _, err := prefixed(data)
		if err != nil {
			return err
		}
		return runs(inner, 1, values)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray, format.DeltaByteArray:
		return delta(data, values)
	}
	return nil
}

func levelRuns(data []byte, most, values int) error {
	if most <= 0 {
		return nil
	}
	return runs(data, uint(mathbits.Len(uint(most))), values)
}

// prefixed takes bytes that come after their length.
func prefixed(data []byte) (inner, rest []byte, err error) {
	if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
		return nil, nil, errors.New("it ends within its levels")
	}
	end := 4 + int(binary.LittleEndian.Uint32(data))
	return data[4:end], data[end:], nil
}

// runs walks the hybrid of run lengths and packed values (Parquet, Encodings,
// RLE = 3) and adds up how many values it claims.
func runs(data []byte, width uint, values int) error {
	if width > 64 {
		return fmt.Errorf("values of %d bits cannot be", width)
	}
	claimed := uint64(0)
	for len(data) > 0 {
		head, n := binary.Uvarint(data)
		if n <= 0 {
			return errRuns
		}
		count, size := head>>1, uint64(width+7)/8
		if head&1 != 0 {
			size, count = count*uint64(width), count*8
		}
		if claimed += count; count > maxPageValues*8 || claimed > uint64(values)+slack { //nolint:gosec // a count that is not negative
			return errRuns
		}
		data = data[n:]
		data = data[min(size, uint64(len(data))):]
	}
	return nil
}

// delta checks the header of delta encoded numbers: size of a block, number of
// miniblocks, number of values.
func delta(data []byte, values int) error {
	var header [3]uint64
	for i := range header {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return errors.New("it ends within its header")
		}
		header[i], data = v, data[n:]
	}
	if header[0] > maxPageValues || header[1] > header[0] || header[2] > uint64(values)+slack { //nolint:gosec // a count that is not negative
		return errRuns
	}
	return nil
}

// leafOf finds the leaf that a chunk's column is in the schema.
func leafOf(file *parquet.File, path []string) (parquet.LeafColumn, error) {
	leaf, ok := file.Schema().Lookup(path...)
	if !ok {
		return leaf, errors.New("it is not in the schema")
	}
	return leaf, nil
}
