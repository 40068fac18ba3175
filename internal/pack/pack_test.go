package pack

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// fill sets every field to something, of lists and pointers sometimes nothing.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range n - 1 {
				for fill(r, v.Index(i)); v.Index(i).Kind() == reflect.Pointer && v.Index(i).IsNil(); {
					fill(r, v.Index(i))
				}
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Map:
		if n := r.IntN(3); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n - 1 {
				k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(r, k)
				fill(r, e)
				v.SetMapIndex(k, e)
			}
		}
	case reflect.String:
		v.SetString([]string{"", "a", "sérvice", "\x00\xff", "a longer text that repeats"}[r.IntN(5)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - min(v.Type().Bits(), 1+r.IntN(64)))) //nolint:gosec // any number
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - min(v.Type().Bits(), 1+r.IntN(64))))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(r.IntN(100)) / 4)
	default:
		panic(v.Kind().String() + " is not known here")
	}
}

func random(r *rand.Rand) []*trajectory.Span {
	spans := make([]*trajectory.Span, 1+r.IntN(5))
	var said []*trajectory.Message
	for i := range spans {
		spans[i] = &trajectory.Span{}
		fill(r, reflect.ValueOf(spans[i]).Elem())
		if c := spans[i].Call; c != nil && r.IntN(2) == 0 { // histories grow
			c.Prompt = append(said[:len(said):len(said)], c.Prompt...)
			said = slices.Concat(c.Prompt, c.Reply)
		}
	}
	return spans
}

// TestNothingIsForgotten: any field of a span comes back, also one that is
// added after this test was written.
func TestNothingIsForgotten(t *testing.T) {
	var p Packer
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		spans := random(r)
		require.Equal(t, spans, p.Pack(spans).Unpack(), "seed %d", seed)
	}
}

// TestSharedMessagesStayShared: and are stored once.
func TestSharedMessagesStayShared(t *testing.T) {
	for _, n := range []int{2, few, 4 * few} {
		var history []*trajectory.Message
		var spans []*trajectory.Span
		text := 0
		for i := range n {
			m := &trajectory.Message{Role: trajectory.RoleUser, Text: string(make([]byte, 1000+i))}
			text += len(m.Text)
			history = append(history, m)
			reversed := []*trajectory.Message{m, history[0], history[len(history)/2]}
			spans = append(spans, &trajectory.Span{Call: &trajectory.Call{Prompt: history[:len(history):len(history)], Reply: reversed}})
		}
		p := new(Packer).Pack(spans)
		assert.Less(t, p.Size(), int64(text+n*120))
		got := p.Unpack()
		require.Equal(t, spans, got)
		last := got[n-1].Call.Prompt
		for i, s := range got {
			for k, m := range s.Call.Prompt {
				assert.Same(t, last[k], m)
			}
			assert.Same(t, last[i], s.Call.Reply[0])
			assert.Same(t, last[0], s.Call.Reply[1])
		}
	}
}

func TestNone(t *testing.T) {
	assert.True(t, Spans{}.None())
	assert.Nil(t, Spans{}.Unpack())
	assert.False(t, new(Packer).Pack(nil).None())
	assert.Empty(t, new(Packer).Pack(nil).Unpack())
}

// TestPackingCopies: what was packed does not keep the texts that it was made
// of, nor follow their owner.
func TestPackingCopies(t *testing.T) {
	s := &trajectory.Span{Name: "chat", Tool: &trajectory.ToolRun{Name: "search"}}
	p := new(Packer).Pack([]*trajectory.Span{s})
	s.Tool.Name = "other"
	assert.Equal(t, "search", p.Unpack()[0].Tool.Name)
}

// TestTextsOfMessagesAreStoredOnce: what a tool returned is what the next
// prompt shows.
func TestTextsOfMessagesAreStoredOnce(t *testing.T) {
	text := string(make([]byte, 5000))
	m := &trajectory.Message{Role: trajectory.RoleTool, Text: text}
	spans := []*trajectory.Span{
		{Tool: &trajectory.ToolRun{Name: "search", Result: &text}},
		{Call: &trajectory.Call{Prompt: []*trajectory.Message{m}}},
		{In: text, Out: text[1:]},
	}
	p := new(Packer).Pack(spans)
	assert.Less(t, p.Size(), int64(2*len(text)+300), "one text, and one that is a byte shorter")
	assert.Equal(t, spans, p.Unpack())
}
