package bundle

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// maxHeader bounds the header of a safetensors file; that of a model of 1 T
// parameters has less.
const maxHeader = 64 << 20

// tensor is one entry of a safetensors header.
type tensor struct {
	name  string
	DType string   `json:"dtype"`
	Shape []int64  `json:"shape"`
	Data  [2]int64 `json:"data_offsets"`
}

// dtypeBytes are the sizes of the types that weights have.
var dtypeBytes = map[string]int64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}

// readHeader reads the header of a safetensors file and checks that its tensors
// cover the size bytes of the file exactly. They come in the order of their data.
func readHeader(r io.Reader, size int64) ([]tensor, error) {
	var n uint64
	if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
		return nil, errors.New("is no safetensors file: it ends before its header: write it again")
	}
	if n > maxHeader || int64(n) > size-8 {
		return nil, fmt.Errorf("is no safetensors file: its header is said to have %d bytes, the file has %d: write it again", n, size)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("read its header: %w", err)
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("is no safetensors file: its header is not JSON: %w: write it again", err)
	}
	delete(entries, "__metadata__")
	var tensors []tensor
	for name, entry := range entries {
		t := tensor{name: name}
		if err := json.Unmarshal(entry, &t); err != nil {
			return nil, fmt.Errorf("tensor %s: is not described: %w: write the file again", name, err)
		}
		tensors = append(tensors, t)
	}
	slices.SortFunc(tensors, func(a, b tensor) int {
		return cmp.Or(cmp.Compare(a.Data[0], b.Data[0]), cmp.Compare(a.Data[1], b.Data[1]), strings.Compare(a.name, b.name))
	})
	return tensors, covers(tensors, size-8-int64(n))
}

// covers checks that the tensors lie one after the other and fill the data.
func covers(tensors []tensor, data int64) error {
	var end int64
	for _, t := range tensors {
		bytes, err := t.bytes()
		if err != nil {
			return fmt.Errorf("tensor %s: %w: write the file again", t.name, err)
		}
		if t.Data[0] != end || t.Data[1]-t.Data[0] != bytes {
			return fmt.Errorf("tensor %s: has its data at %d to %d, where %d bytes from %d on are right: the file is damaged; write it again", t.name, t.Data[0], t.Data[1], bytes, end)
		}
		end = t.Data[1]
	}
	if end != data {
		return fmt.Errorf("its tensors have %d bytes and %d are there: the file is cut or damaged; write it again", end, data)
	}
	return nil
}

func (t tensor) bytes() (int64, error) {
	n, ok := dtypeBytes[t.DType]
	if !ok {
		return 0, fmt.Errorf("dtype %q is not known", t.DType)
	}
	for _, d := range t.Shape {
		if d < 0 || (d > 0 && n > math.MaxInt64/d) {
			return 0, fmt.Errorf("shape %v is not one", t.Shape)
		}
		n *= d
	}
	return n, nil
}

// checkFinite reads the data behind a header and names the first tensor that
// holds what is not a number.
func checkFinite(r io.Reader, tensors []tensor) error {
	buffered := bufio.NewReaderSize(r, 1<<20)
	for _, t := range tensors {
		data := io.LimitReader(buffered, t.Data[1]-t.Data[0])
		finite, known := finiteOf[t.DType]
		if !known {
			if _, err := io.Copy(io.Discard, data); err != nil {
				return err
			}
			continue
		}
		buf := make([]byte, 64<<10)
		for {
			n, err := io.ReadFull(data, buf)
			if !finite(buf[:n]) {
				return fmt.Errorf("tensor %s: holds NaN or infinity: every answer would be noise; train it again", t.name)
			}
			if err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					break
				}
				return err
			}
		}
	}
	return nil
}

// finiteOf says whether all numbers of a type are finite: no exponent is all ones.
var finiteOf = map[string]func([]byte) bool{
	"F32": func(b []byte) bool {
		for ; len(b) >= 4; b = b[4:] {
			if binary.LittleEndian.Uint32(b)&0x7f800000 == 0x7f800000 {
				return false
			}
		}
		return true
	},
	"F16":  func(b []byte) bool { return finite16(b, 0x7c00) },
	"BF16": func(b []byte) bool { return finite16(b, 0x7f80) },
}

func finite16(b []byte, exponent uint16) bool {
	for ; len(b) >= 2; b = b[2:] {
		if binary.LittleEndian.Uint16(b)&exponent == exponent {
			return false
		}
	}
	return true
}

// loadable are the types of weights that servers load.
var loadable = []string{"F32", "F16", "BF16"}

// compact is JSON on one line, for messages.
func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil || b.Len() > 200 {
		return "something else"
	}
	return b.String()
}
