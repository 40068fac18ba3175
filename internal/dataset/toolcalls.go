package dataset

import (
	"encoding/json"
	"fmt"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// toolCallsJSON is [{"id":…,"name":…,"arguments":…}], NULL for none. It is
// written by hand because it is on the hot path.
func toolCallsJSON(calls []trajectory.ToolCall) *string {
	if len(calls) == 0 {
		return nil
	}
	size := 2
	for _, c := range calls {
		size += len(c.ID) + len(c.Name) + len(c.Arguments)*9/8 + 40
	}
	b := make([]byte, 0, size)
	for i, c := range calls {
		b = append(b, "[,"[min(i, 1)])
		b = appendJSON(append(b, `{"id":`...), c.ID)
		b = appendJSON(append(b, `,"name":`...), c.Name)
		b = append(appendJSON(append(b, `,"arguments":`...), c.Arguments), '}')
	}
	return new(string(append(b, ']')))
}

func toolCalls(text string) ([]trajectory.ToolCall, error) {
	if text == "" {
		return nil, nil
	}
	var calls []trajectory.ToolCall
	if err := json.Unmarshal([]byte(text), &calls); err != nil {
		return nil, fmt.Errorf("read tool_calls: %w", err)
	}
	return calls, nil
}

const hexDigits = "0123456789abcdef"

func appendJSON(b []byte, s string) []byte {
	s = clean(s)
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
