package genai

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSharedTools(t *testing.T) {
	var s Shared
	assert.Equal(t, `[{"a":1},{"b":2}]`, s.toolList([]string{`{"a":1}`, `{"b":`, "", `{"b":2}`}))
	assert.Equal(t, `[{"a":1},{"b":2}]`, s.toolList([]string{`{"a":1}`, `{"b":`, "", `{"b":2}`}))
	assert.Empty(t, s.toolList([]string{"x"}))
	assert.Equal(t, `[1]`, s.toolArray(`[1]`))
	assert.Empty(t, s.toolArray(`{"a":1}`))
	assert.Empty(t, s.toolArray(`[1`))
	assert.Equal(t, `[{"a":1}]`, s.toolList([]string{`{"a":1}`}), "a list of one and an array are not the same")
	assert.Empty(t, s.toolArray(`{"a":1}`))
	assert.Equal(t, `[{"a":1}]`, s.toolList([]string{`{"a":1}`}))
}

func TestSharedIsBounded(t *testing.T) {
	var s Shared
	for i := range 10 * maxShared / (64 << 10) {
		raw := fmt.Sprintf("[%d,%q]", i, strings.Repeat("x", 64<<10))
		assert.Equal(t, raw, s.toolArray(raw))
		assert.LessOrEqual(t, s.size, maxShared)
		assert.LessOrEqual(t, len(s.tools), maxShared/(64<<10))
	}
}
