package history

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/tidwall/gjson"
)

// column is a node of a Parquet schema, and of the row that is being read the
// values below it.
type column struct {
	name   string
	form   columnForm
	fields []*column
	leaves []*column // below it, itself if it is one

	repeated   bool
	definition int // level at which the node is there
	repetition int // level at which the node begins again

	leaf   func(*bytes.Buffer, parquet.Value)
	values []parquet.Value // of a leaf: those of the row
	from   int             // the first that was not written yet
}

// columnForm is how a group is written.
type columnForm uint8

const (
	object   columnForm = iota
	list                // its one repeated field is the list
	mapping             // its one repeated field is key and value
	anything            // a leaf
)

// newColumns reads the schema of a file.
func newColumns(file *parquet.File) (*column, error) {
	if n := len(file.Schema().Columns()); n > maxColumns {
		return nil, fmt.Errorf("%d columns, more than %d", n, maxColumns)
	}
	root := &column{form: object}
	for _, f := range file.Schema().Fields() {
		if err := root.add(f, 0, 0, 1); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (c *column) add(n parquet.Field, definition, repetition, depth int) error {
	if depth > maxSchemaDepth {
		return fmt.Errorf("columns lie more than %d deep in each other", maxSchemaDepth)
	}
	f := &column{name: n.Name(), repeated: n.Repeated()}
	if n.Optional() || n.Repeated() {
		definition++
	}
	if n.Repeated() {
		repetition++
	}
	f.definition, f.repetition = definition, repetition
	if n.Leaf() {
		f.form, f.leaf, f.leaves = anything, writerOf(n.Type()), []*column{f}
	} else {
		f.form = formOf(n)
		for _, inner := range n.Fields() {
			if err := f.add(inner, definition, repetition, depth+1); err != nil {
				return err
			}
		}
	}
	c.fields = append(c.fields, f)
	c.leaves = append(c.leaves, f.leaves...)
	return nil
}

func formOf(n parquet.Node) columnForm {
	fields := n.Fields()
	if len(fields) != 1 || !fields[0].Repeated() {
		return object
	}
	t := n.Type().LogicalType()
	if t == nil {
		return object
	}
	switch t.Value.(type) {
	case *format.ListType:
		return list
	case *format.MapType:
		if len(fields[0].Fields()) == 2 {
			return mapping
		}
	}
	return object
}

func (c *column) clear() {
	for _, l := range c.leaves {
		l.values, l.from = l.values[:0], 0
	}
}

// there says whether the node has a value in what is left of the row.
func (c *column) there() bool {
	if len(c.leaves) == 0 {
		return false
	}
	l := c.leaves[0]
	return l.from < len(l.values) && l.values[l.from].DefinitionLevel() >= c.definition
}

// skip passes over the value that stands for "nothing here" in every leaf.
func (c *column) skip() {
	for _, l := range c.leaves {
		l.from = min(l.from+1, len(l.values))
	}
}

// again says whether another element follows.
func (c *column) again() bool {
	l := c.leaves[0]
	return l.from < len(l.values) && l.values[l.from].RepetitionLevel() == c.repetition
}

// write writes the node's value, of a repeated one all of them.
func (c *column) write(b *bytes.Buffer) {
	if !c.repeated {
		c.one(b)
		return
	}
	b.WriteByte('[')
	if c.there() {
		for more := true; more; more = c.again() {
			if b.Bytes()[b.Len()-1] != '[' {
				b.WriteByte(',')
			}
			c.one(b)
		}
	} else {
		c.skip()
	}
	b.WriteByte(']')
}

// one writes one value.
func (c *column) one(b *bytes.Buffer) {
	if len(c.leaves) == 0 {
		b.WriteString("{}")
		return
	}
	if c.name != "" && !c.there() {
		b.WriteString("null")
		c.skip()
		return
	}
	switch c.form {
	case anything:
		c.leaf(b, c.values[c.from])
		c.from++
	case list:
		c.list(b)
	case mapping:
		c.mapping(b)
	default:
		c.object(b)
	}
}

func (c *column) object(b *bytes.Buffer) {
	b.WriteByte('{')
	for i, f := range c.fields {
		if i > 0 {
			b.WriteByte(',')
		}
		text(b, f.name)
		b.WriteByte(':')
		f.write(b)
	}
	b.WriteByte('}')
}

// list writes the elements: by the specification they lie in a group of one
// field within the repeated one.
func (c *column) list(b *bytes.Buffer) {
	inner := c.fields[0]
	if inner.form != object || len(inner.fields) != 1 {
		inner.write(b)
		return
	}
	b.WriteByte('[')
	if inner.there() {
		for more := true; more; more = inner.again() {
			if b.Bytes()[b.Len()-1] != '[' {
				b.WriteByte(',')
			}
			inner.fields[0].write(b)
		}
	} else {
		inner.skip()
	}
	b.WriteByte(']')
}

// mapping writes key and value pairs.
func (c *column) mapping(b *bytes.Buffer) {
	pair := c.fields[0]
	b.WriteByte('{')
	if pair.there() {
		for more := true; more; more = pair.again() {
			if b.Bytes()[b.Len()-1] != '{' {
				b.WriteByte(',')
			}
			at := b.Len()
			pair.fields[0].write(b)
			if b.Bytes()[at] != '"' { // names of JSON objects are text
				key := string(b.Bytes()[at:])
				b.Truncate(at)
				text(b, key)
			}
			b.WriteByte(':')
			pair.fields[1].write(b)
		}
	} else {
		pair.skip()
	}
	b.WriteByte('}')
}

func text(b *bytes.Buffer, s string) { b.Write(gjson.AppendJSONString(b.AvailableBuffer(), s)) }

// writerOf is how the values of a leaf are written.
func writerOf(t parquet.Type) func(*bytes.Buffer, parquet.Value) {
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *format.TimestampType:
			return instantIn(l.Unit)
		case *format.IntType:
			return func(b *bytes.Buffer, v parquet.Value) { number(b, v, !l.IsSigned) }
		}
	}
	return func(b *bytes.Buffer, v parquet.Value) { number(b, v, false) }
}

func instantIn(unit format.TimeUnit) func(*bytes.Buffer, parquet.Value) {
	switch unit.Value.(type) {
	case *format.NanoSeconds:
		return func(b *bytes.Buffer, v parquet.Value) { instant(b, time.Unix(0, v.Int64())) }
	case *format.MicroSeconds:
		return func(b *bytes.Buffer, v parquet.Value) { instant(b, time.UnixMicro(v.Int64())) }
	}
	return func(b *bytes.Buffer, v parquet.Value) { instant(b, time.UnixMilli(v.Int64())) }
}

func instant(b *bytes.Buffer, t time.Time) { text(b, t.UTC().Format(time.RFC3339Nano)) }

// number writes a value by its physical type.
func number(b *bytes.Buffer, v parquet.Value, unsigned bool) {
	switch v.Kind() {
	case parquet.Boolean:
		b.Write(strconv.AppendBool(b.AvailableBuffer(), v.Boolean()))
	case parquet.Int32:
		if unsigned {
			b.Write(strconv.AppendUint(b.AvailableBuffer(), uint64(v.Uint32()), 10))
		} else {
			b.Write(strconv.AppendInt(b.AvailableBuffer(), int64(v.Int32()), 10))
		}
	case parquet.Int64:
		if unsigned {
			b.Write(strconv.AppendUint(b.AvailableBuffer(), v.Uint64(), 10))
		} else {
			b.Write(strconv.AppendInt(b.AvailableBuffer(), v.Int64(), 10))
		}
	case parquet.Float, parquet.Double:
		f := v.Double()
		if v.Kind() == parquet.Float {
			f = float64(v.Float())
		}
		if math.IsNaN(f) || math.IsInf(f, 0) { // pandas' null
			b.WriteString("null")
			return
		}
		b.Write(strconv.AppendFloat(b.AvailableBuffer(), f, 'g', -1, 64))
	default:
		if raw := v.ByteArray(); utf8.Valid(raw) {
			text(b, string(raw))
		} else {
			text(b, hex.EncodeToString(raw))
		}
	}
}
