package feedbackreceiver

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHash holds what makes two items without id the same fact.
func TestHash(t *testing.T) {
	id := func(item string) string {
		items, problems, err := parse([]byte("{"+item+"}"), testNow)
		require.NoError(t, err)
		require.Empty(t, problems, item)
		return items[0].id
	}
	base := id(`"name":"a","value":1,"response_id":"r"`)
	for _, same := range []string{
		`"response_id":"r","value":1.0,"name":"a"`, `"name":"a","value":true,"response_id":"r"`,
		`"name":"a","value":1e0,"response_id":"r","label":null,"observed_at":null,"id":null`,
	} {
		assert.Equal(t, base, id(same), same)
	}
	seen := map[string]bool{base: true}
	for _, other := range []string{
		`"name":"b","value":1,"response_id":"r"`, `"name":"a","value":0,"response_id":"r"`, `"name":"a","value":1,"response_id":"s"`,
		`"name":"a","value":1,"conversation_id":"r"`, `"name":"a","value":1,"response_id":"r","label":"x"`,
		`"name":"a","value":1,"response_id":"r","explanation":"x"`,
		`"name":"a","value":1,"response_id":"r","observed_at":"2026-01-01T00:00:00Z"`,
		`"name":"a","value":1,"response_id":"r","trace_id":"00000000000000000000000000000001"`,
		`"name":"a","value":1,"response_id":"r","trajectory_id":"00000000000000000000000000000001"`,
		`"name":"a","value":1,"response_id":"r","trace_id":"00000000000000000000000000000001","span_id":"0000000000000001"`,
	} {
		assert.False(t, seen[id(other)], other)
		seen[id(other)] = true
	}
	assert.Equal(t, "mine", id(`"id":"mine","name":"a","value":1,"response_id":"r"`))
	assert.Equal(t, base, id(`"name":"a","value":1,"response_id":"r"`), "the time of arrival is no part of it")
}

// FuzzParse holds that no body makes parse panic, that every item of a list is
// either taken or reported, and that what is taken is whole.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		twoItems, `{"name":"a","value":true,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"}`,
		`[{"value":1e999},{"name":1},null,[],{"a":{}}]`, `{"name":"a","name":"a"}`, `{"observed_at":"2026-01-31T12:00:00+01:00"}`, "", "[", "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, problems, err := parse(body, testNow)
		if err != nil {
			require.Empty(t, items)
			return
		}
		require.NotZero(t, len(items)+len(problems))
		for _, p := range problems {
			require.NotEmpty(t, p.Error)
		}
		logs := records(items, testNow)
		require.Equal(t, len(items), logs.LogRecordCount())
		for _, i := range items {
			require.NotEmpty(t, i.id)
			require.NotEmpty(t, i.name)
			require.False(t, i.trajectoryID == "" && i.traceID == [16]byte{} && i.responseID == "" && i.conversationID == "")
			require.False(t, i.observedAt.After(testNow.Add(maxAhead)))
		}
	})
}

// TestItemErrors holds the message for every way an item can be wrong.
func TestItemErrors(t *testing.T) {
	ok := `"name":"a","value":1,"response_id":"r"`
	long := make([]byte, maxExplanation+1)
	for i := range long {
		long[i] = 'x'
	}
	for _, c := range []struct{ item, field, message string }{
		{`1`, "", "the item is not a JSON object"},
		{`null`, "", "the item is not a JSON object"},
		{`{}`, "name", `name is missing: the dimension of the feedback, such as "solved"`},
		{`{"name":"a","response_id":"r"}`, "value", "value is missing: a number, true or false"},
		{`{"name":"a","value":null,"response_id":"r"}`, "value", "value is missing: a number, true or false"},
		{`{"name":"a","value":"yes","response_id":"r"}`, "value", `value must be a finite number, true or false, not "yes"`},
		{`{"name":"a","value":1e999,"response_id":"r"}`, "value", "value must be a finite number, true or false, not 1e999"},
		{`{"name":"a","value":[1],"response_id":"r"}`, "value", "value must be a finite number, true or false, not [1]"},
		{`{"name":1,"value":1,"response_id":"r"}`, "name", "name must be a text"},
		{`{"name":"","value":1,"response_id":"r"}`, "name", "name is empty: leave it out instead"},
		{`{"name":"a\nb","value":1,"response_id":"r"}`, "name", "name contains control characters"},
		{`{"name":"` + string(long[:maxID+1]) + `","value":1}`, "name", "name has 257 bytes, at most 256 are allowed"},
		{`{` + ok + `,"explanation":"` + string(long) + `"}`, "explanation", "explanation has 32769 bytes, at most 32768 are allowed"},
		{`{"name":"a","value":1}`, "trajectory_id", "the item does not say what it is about: set trajectory_id, trace_id, response_id or conversation_id"},
		{`{"name":"a","value":1,"trajectory_id":"abc"}`, "trajectory_id", "trajectory_id must have 32 hex digits"},
		{`{"name":"a","value":1,"trace_id":"zz"}`, "trace_id", "trace_id must have 32 hex digits"},
		{`{"name":"a","value":1,"trace_id":"00000000000000000000000000000000"}`, "trace_id", "trace_id is all zeros"},
		{`{` + ok + `,"span_id":"00f067aa0ba902b7"}`, "span_id", "span_id needs the trace_id of its trace"},
		{`{` + ok + `,"span_id":"00f0"}`, "span_id", "span_id must have 16 hex digits"},
		{`{` + ok + `,"observed_at":"yesterday"}`, "observed_at", "observed_at must be a time with a zone, such as 2026-01-31T12:00:00Z"},
		{`{` + ok + `,"observed_at":"2026-01-31T12:00:00"}`, "observed_at", "observed_at must be a time with a zone, such as 2026-01-31T12:00:00Z"},
		{`{` + ok + `,"observed_at":"1969-01-01T00:00:00Z"}`, "observed_at", "observed_at is before 1970"},
		{`{` + ok + `,"observed_at":"2027-01-01T00:00:00Z"}`, "observed_at", "observed_at is more than a day in the future"},
		{`{` + ok + `,"name":"b"}`, "name", "name is given twice"},
		{`{` + ok + `,"score":1}`, "score", `unknown field "score": the fields are id, name, value, label, explanation, trajectory_id, trace_id, span_id, response_id, conversation_id, observed_at`},
	} {
		items, problems, err := parse([]byte(c.item), testNow)
		if assert.NoError(t, err, c.item) && assert.Len(t, problems, 1, c.item) {
			assert.Equal(t, problem{Field: c.field, Error: c.message}, problems[0], c.item)
			assert.Empty(t, items)
		}
	}
	items, problems, err := parse(fmt.Appendf(nil, `{%s,"observed_at":%q}`, ok, testNow.Add(maxAhead).Format(time.RFC3339)), testNow)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Len(t, items, 1)
}
