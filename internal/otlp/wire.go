package otlp

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/protobuf/encoding/protowire"
)

// kind is a message of OTLP, as far as one must look into it to tell the
// signal, and how deep its values go.
type kind uint8

const (
	none kind = iota
	resource
	scope
	span
	event
	link
	record
	pair
	value
	array
	list
)

// within is the messages that a message holds, by field.
var within = [...]map[protowire.Number]kind{
	resource: {1: pair},
	scope:    {3: pair},
	span:     {9: pair, 11: event, 13: link},
	event:    {3: pair},
	link:     {4: pair},
	record:   {5: value, 6: pair},
	pair:     {2: value},
	value:    {5: array, 6: list},
	array:    {1: value},
	list:     {1: pair},
}

// signalOfProto tells what an export request carries. The requests of all
// signals look the same down to the items, and an item says what it is by the
// wire types of its fields. An empty request passes as spans.
func signalOfProto(data []byte) (Signal, error) {
	found := Traces
	metrics := errors.New("")
	err := each(data, func(f protowire.Number, resourceItems []byte) error {
		if f != 1 {
			return nil
		}
		return each(resourceItems, func(f protowire.Number, in []byte) error {
			switch f {
			case 1:
				return checkDepth(resource, in, 0)
			case 2:
				return each(in, func(f protowire.Number, item []byte) error {
					switch f {
					case 1:
						return checkDepth(scope, item, 0)
					case 2:
						switch itemKind(item) {
						case record:
							found = Logs
							return checkDepth(record, item, 0)
						case span:
							return checkDepth(span, item, 0)
						}
						return metrics
					}
					return nil
				})
			}
			return nil
		})
	})
	if errors.Is(err, metrics) {
		err = errMetrics
	}
	return found, err
}

// itemKind tells a span (field 1 is its trace id, 7 and 8 are times) from a log
// record (fields 1 and 11 are times, 2 is a number; or there is only a body)
// and from what is neither.
func itemKind(b []byte) kind {
	if len(b) == 0 {
		return span
	}
	traced, named, body := false, false, false
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return span // the decoder says what is wrong
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return span
		}
		b = b[n+size:]
		switch {
		case (num == 7 || num == 8) && typ == protowire.Fixed64Type:
			return span
		case (num == 1 || num == 11) && typ == protowire.Fixed64Type, num == 2 && typ == protowire.VarintType:
			return record
		case num == 1 && size == 1+len(pcommon.TraceID{}):
			traced = true
		case num <= 3:
			named = true
		case num == 5:
			body = true
		}
	}
	switch {
	case traced:
		return span
	case body && !named:
		return record
	}
	return none
}

// checkDepth refuses values that lie too deep in each other.
func checkDepth(k kind, b []byte, depth int) error {
	if depth > 2*maxDepth {
		return errDeep
	}
	return each(b, func(f protowire.Number, in []byte) error {
		if inner := within[k][f]; inner != none {
			return checkDepth(inner, in, depth+1)
		}
		return nil
	})
}

// each visits the fields of a message that may be messages.
func each(b []byte, visit func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("parse protobuf: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return fmt.Errorf("parse protobuf: %w", protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		in, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return fmt.Errorf("parse protobuf: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if err := visit(num, in); err != nil {
			return err
		}
	}
	return nil
}
