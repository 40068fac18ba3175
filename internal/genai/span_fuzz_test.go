package genai_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// FuzzSpan takes whole spans and log records of every dialect, leaves
// attributes out and writes something else into one: what is left is read
// without a panic, says the same the second time, and makes a valid trajectory
// that survives being stored.
func FuzzSpan(f *testing.F) {
	type source struct {
		raw    []byte
		record bool
	}
	var sources []source
	files, err := filepath.Glob("testdata/cases/*.txtar")
	require.NoError(f, err)
	for i, file := range files {
		a, err := txtar.ParseFile(file)
		require.NoError(f, err)
		sources = append(sources, source{a.Files[0].Data, a.Files[0].Name == "record.json"})
		var c spanCase
		require.NoError(f, json.Unmarshal(a.Files[0].Data, &c))
		for k, name := range slices.Sorted(maps.Keys(c.Attributes)) {
			if s, ok := c.Attributes[name].(string); ok && k%8 == i%8 { // a few seeds, so that there is time for what is new
				f.Add(uint16(i), uint32(0), uint8(k), s[:len(s)/2]) //nolint:gosec // few cases, few attributes
				f.Add(uint16(i), uint32(1)<<(k%32), uint8(k), s)    //nolint:gosec // as above
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, without uint32, at uint8, value string) {
		from := sources[int(which)%len(sources)]
		var c spanCase
		require.NoError(t, json.Unmarshal(from.raw, &c))
		names := slices.Sorted(maps.Keys(c.Attributes))
		for i, name := range names {
			switch {
			case i == int(at):
				c.Attributes[name] = value
			case without&(1<<(i%32)) != 0:
				delete(c.Attributes, name)
			}
		}
		c.check(t, from.record)
	})
}

// check holds against a case what holds for every span and record.
func (c *spanCase) check(t *testing.T, record bool) {
	t.Helper()
	d := genai.NewDecoder(genai.Options{})
	marked, first := c.decode(t, d, record)
	_, second := c.decode(t, d, record)
	require.Equal(t, first, second, "the second reading")
	_, fresh := c.decode(t, genai.NewDecoder(genai.Options{}), record)
	require.Equal(t, first, fresh, "another decoder")
	if record {
		return
	}
	res, span := c.build(t)
	s := d.Decode(res, c.scope(), span)
	require.True(t, marked || s.GenAI || s.Role == trajectory.RoleOther, "role %d without a marker", s.Role)
	tr := trajectory.Assemble([]*trajectory.Span{s}, trajectory.Options{Revision: 1})
	require.NoError(t, tr.Valid())
	back, err := trajectory.Decode(trajectory.Encode(tr))
	require.NoError(t, err)
	require.NoError(t, back.Valid())
}
