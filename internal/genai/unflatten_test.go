package genai

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestUnflatten(t *testing.T) {
	a := pcommon.NewMap()
	a.PutInt("in.n", 2)
	a.PutDouble("in.f", 0.5)
	a.PutStr("in.s", `it's "it"`)
	a.PutBool("in.deep.b", true)
	a.PutStr("in.list.1.id", "b")
	a.PutStr("in.list.0.id", "a")
	a.PutInt("in.gap.0", 1)
	a.PutInt("in.gap.2", 3)
	require.NoError(t, a.PutEmptySlice("in.tags").FromRaw([]any{"x", "y"}))
	a.PutStr("out", "as it is")
	a.PutInt("number", 7)
	require.Equal(t, `{"n":2,"f":0.5,"s":"it's \"it\"","deep":{"b":true},"list":[{"id":"a"},{"id":"b"}],"gap":{"0":1,"2":3},"tags":["x","y"]}`, unflatten(a, "in"))
	require.Equal(t, "as it is", unflatten(a, "out"))
	require.Equal(t, "7", unflatten(a, "number"))
	require.Empty(t, unflatten(a, "nothing"))
}
