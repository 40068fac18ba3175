package trajectory

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// looping is an agent of so many rounds of two tools each; the last call
// answers. Every call has two witnesses, and no two prompts share a pointer:
// instrumentations decode what they see anew.
func looping(rounds int) []*Span {
	spans, next := []*Span{agent(1, 0, 0, int64(100*rounds+50), "helper")}, 1
	add := func(s *Span) {
		next++
		s.SpanID = SpanID{}
		binary.BigEndian.PutUint32(s.SpanID[2:], uint32(next))
		s.Seq = uint64(next)
		spans = append(spans, s)
	}
	said := func(upTo int) []*Message {
		ms := prompt(system("s"), user("q"))
		for i := range upTo {
			x, y := fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)
			ms = append(ms, says("", call(x, "f", fmt.Sprint(i)), call(y, "g", fmt.Sprint(i))), result(x, "fx"+x), result(y, "gy"+y))
		}
		return ms
	}
	for i := range rounds + 1 {
		at, reply := int64(100*i), says("done")
		if i < rounds {
			reply = said(i + 1)[2+3*i]
		}
		for range 2 {
			s := model(2, 1, at+1, at+10, said(i), reply)
			s.Call.ResponseID = fmt.Sprintf("r%d", i)
			add(s)
		}
		for _, c := range reply.ToolCalls {
			add(toolSpan(3, 1, at+11, at+20, ToolRun{Name: c.Name, CallID: c.ID, Arguments: c.Arguments, Result: ptr("lost")}))
		}
	}
	return spans
}

// TestFewAndMany: what is searched one by one and what is searched by maps
// come to the same, whatever the order of the spans.
func TestFewAndMany(t *testing.T) {
	for _, rounds := range []int{1, 2, few / 4, few, 3 * few} {
		t.Run(fmt.Sprint(rounds), func(t *testing.T) {
			spans := looping(rounds)
			twice := append(append([]*Span{}, spans...), spans...)
			rand.New(rand.NewPCG(uint64(rounds), 1)).Shuffle(len(twice), func(i, j int) { twice[i], twice[j] = twice[j], twice[i] })
			got := Assemble(twice, Options{})
			assert.Equal(t, Assemble(spans, Options{}), got)
			require.NoError(t, got.Valid())
			assert.True(t, got.Trainable, got.Reasons)
			assert.Equal(t, len(spans), got.SpanCount)
			assert.Equal(t, rounds+1, got.ModelCalls)
			assert.Equal(t, 2*rounds, got.ToolCalls)
			assert.Len(t, got.Messages, 2+3*rounds+1)
			for i := range got.Steps {
				s := &got.Steps[i]
				assert.Zero(t, s.Thread)
				if s.Tool != nil {
					assert.Equal(t, i/3*3, *s.Parent)
					assert.Equal(t, s.Tool.Name+s.Tool.CallID[:1]+s.Tool.CallID, *s.Tool.Result, "as the next prompt shows it")
				}
			}
			last := got.Steps[len(got.Steps)-1].Model
			assert.Len(t, last.Input, 2+3*rounds)
			assert.Equal(t, "done", got.Output)
		})
	}
}

// TestMessagesOfOneHashStayApart: identity is a hash and then a comparison.
func TestMessagesOfOneHashStayApart(t *testing.T) {
	table := messageTable{results: &results{}}
	table.init(1, &scratch{known: map[*Message]int32{}})
	for i := range 3 * few {
		m := &Message{Role: RoleUser, Text: "same", Parts: fmt.Sprint(i)} // parts are not hashed
		assert.EqualValues(t, i, table.index(m))
		again := *m
		assert.EqualValues(t, i, table.index(&again))
	}
	assert.Len(t, table.list, 3*few)
}
