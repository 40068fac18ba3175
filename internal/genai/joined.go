package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// JoinedBy returns the values of the attributes of a span, else of its
// resource; "" if one is missing.
func JoinedBy(names []string, res pcommon.Resource, span ptrace.Span) string {
	var b strings.Builder
	for _, n := range names {
		v, ok := span.Attributes().Get(n)
		if !ok {
			v, ok = res.Attributes().Get(n)
		}
		if !ok {
			return ""
		}
		b.WriteString(v.AsString())
		b.WriteByte(0)
	}
	return b.String()
}
