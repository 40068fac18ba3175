package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of the protobuf generation, by field number. The schema is
// testdata/tinker_public.proto; a test holds it against what is written here.
const (
	dtypeFloat32  = 1
	dtypeInt64    = 2
	dtypeBfloat16 = 4
)

// protobuf is a ForwardBackwardRequest.
func (p *pass) protobuf() []byte {
	b := appendText(nil, 1, p.model)
	b = appendInt(b, 2, p.sequence)
	for i := range p.data {
		b = appendMessage(b, 3, p.data[i].protobuf())
	}
	b = appendText(b, 4, p.loss)
	for _, key := range slices.Sorted(maps.Keys(p.config)) {
		entry := protowire.AppendTag(appendText(nil, 1, key), 2, protowire.Fixed64Type)
		b = appendMessage(b, 5, protowire.AppendFixed64(entry, math.Float64bits(p.config[key])))
	}
	if p.forward {
		b = appendInt(b, 6, 1)
	}
	return b
}

// protobuf is a Datum: one chunk of tokens, and a map of tensors.
func (d *datum) protobuf() []byte {
	tokens := make([]byte, 0, 4*len(d.input))
	for _, id := range d.input {
		tokens = binary.LittleEndian.AppendUint32(tokens, uint32(id))
	}
	b := appendMessage(nil, 1, appendMessage(nil, 1, appendMessage(nil, 1, tokens)))
	targets := make([]byte, 0, 8*len(d.targets))
	for _, id := range d.targets {
		targets = binary.LittleEndian.AppendUint64(targets, uint64(id))
	}
	b = appendTensor(b, "target_tokens", targets, dtypeInt64, len(d.targets))
	for name, values := range d.inputs {
		dense := make([]byte, 0, 4*len(values))
		for _, v := range values {
			dense = binary.LittleEndian.AppendUint32(dense, math.Float32bits(v))
		}
		b = appendTensor(b, name, dense, dtypeFloat32, len(values))
	}
	return b
}

// appendTensor appends an entry of map<string, Tensor> loss_fn_inputs = 2.
func appendTensor(b []byte, name string, dense []byte, dtype, length int) []byte {
	t := appendMessage(nil, 1, dense)
	t = appendInt(t, 3, dtype)
	t = appendMessage(t, 4, protowire.AppendVarint(nil, uint64(length)))
	return appendMessage(b, 2, appendMessage(appendText(nil, 1, name), 2, t))
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
}

func appendMessage(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}

func appendInt(b []byte, number protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v))
}

// parsePassProtobuf reads a ForwardBackwardOutput of at most rows rows.
func parsePassProtobuf(body []byte, rows int) (passed, error) {
	var out passed
	err := fields(body, func(number protowire.Number, value field) error {
		switch number {
		case 2:
			more, err := parseRecord(value.bytes, rows-len(out.rows))
			out.rows = append(out.rows, more...)
			return err
		case 3:
			name, v, err := parseMetric(value.bytes)
			if out.metrics == nil {
				out.metrics = map[string]float64{}
			}
			out.metrics[name] = v
			return err
		}
		return nil
	})
	return out, err
}

// parseRecord reads an ArrayRecord: several rows, a list of each kind for all.
func parseRecord(body []byte, most int) ([]outputs, error) {
	tensors := map[string][]byte{}
	var count uint64
	err := fields(body, func(number protowire.Number, value field) error {
		switch number {
		case 2:
			name, tensor, err := parseEntry(value.bytes)
			tensors[name] = tensor
			return err
		case 3:
			count = value.number
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case count > uint64(max(most, 0)):
		return nil, fmt.Errorf("more rows than were sent: %d where at most %d are left", count, most)
	}
	rows := make([]outputs, count)
	for name, into := range map[string]func(*outputs) *[]float32{
		"logprobs":         func(o *outputs) *[]float32 { return &o.logprobs },
		"elementwise_loss": func(o *outputs) *[]float32 { return &o.losses },
		"values":           func(o *outputs) *[]float32 { return &o.values },
	} {
		if tensor, ok := tensors[name]; ok {
			if err := parseTensor(tensor, rows, into); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return rows, nil
}

// parseTensor reads a BatchedTensor: the rows' values end to end, and at which
// byte each begins and ends.
func parseTensor(body []byte, rows []outputs, into func(*outputs) *[]float32) error {
	var data, offsets []byte
	var dtype uint64
	err := fields(body, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			data = value.bytes
		case 2:
			offsets = value.bytes
		case 3:
			dtype = value.number
		}
		return nil
	})
	width := map[uint64]int{dtypeFloat32: 4, dtypeBfloat16: 2}[dtype]
	switch {
	case err != nil:
		return err
	case width == 0:
		return fmt.Errorf("numbers of kind %d, not floats", dtype)
	case len(offsets) != 8*(len(rows)+1):
		return fmt.Errorf("%d bytes of offsets for %d rows", len(offsets), len(rows))
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(offsets[8*i:]) }
	for i := range rows {
		from, to := at(i), at(i+1)
		if from > to || to > uint64(len(data)) || (to-from)%uint64(width) != 0 {
			return fmt.Errorf("row %d is at bytes %d to %d of %d", i, from, to, len(data))
		}
		*into(&rows[i]) = floats(data[from:to], width)
	}
	return nil
}

func floats(data []byte, width int) []float32 {
	out := make([]float32, len(data)/width)
	for i := range out {
		if width == 2 { // bfloat16 is the upper half of a float32
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		} else {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	}
	return out
}

func parseMetric(body []byte) (name string, v float64, err error) {
	err = fields(body, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			name = string(value.bytes)
		case 2:
			v = math.Float64frombits(value.number)
		}
		return nil
	})
	return name, v, err
}

func parseEntry(body []byte) (key string, message []byte, err error) {
	err = fields(body, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			key = string(value.bytes)
		case 2:
			message = value.bytes
		}
		return nil
	})
	return key, message, err
}

// field is what one field of a message holds; numbers of 32 and 64 bits as they
// are on the wire.
type field struct {
	bytes  []byte
	number uint64
}

// fields calls each for every field of a message, in order.
func fields(body []byte, each func(protowire.Number, field) error) error {
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return fmt.Errorf("read protobuf: %w", protowire.ParseError(n))
		}
		body = body[n:]
		var value field
		switch kind {
		case protowire.BytesType:
			value.bytes, n = protowire.ConsumeBytes(body)
		case protowire.VarintType:
			value.number, n = protowire.ConsumeVarint(body)
		case protowire.Fixed64Type:
			value.number, n = protowire.ConsumeFixed64(body)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(body)
			value.number = uint64(v)
		default:
			return errors.New("read protobuf: a group, which the protocol does not use")
		}
		if n < 0 {
			return fmt.Errorf("read protobuf: %w", protowire.ParseError(n))
		}
		body = body[n:]
		if err := each(number, value); err != nil {
			return err
		}
	}
	return nil
}
