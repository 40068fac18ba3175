package feedbackreceiver

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of one request and its items.
const (
	maxItems       = 1000
	maxID          = 256 // bytes of name, ids and label
	maxExplanation = 32 << 10
	maxAhead       = 24 * time.Hour // of observed_at: a clock far ahead would outrank every later fact
)

// feedback is one checked item.
type feedback struct {
	id          string
	name        string
	value       float64
	label       string
	explanation string

	trajectoryID   string
	traceID        [16]byte
	spanID         [8]byte
	responseID     string
	conversationID string
	observedAt     time.Time // zero = not given
}

// problem is what is wrong with one item.
type problem struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
	Index int    `json:"index"`
}

var fields = []string{
	"id", "name", "value", "label", "explanation", "trajectory_id", "trace_id", "span_id", "response_id",
	"conversation_id", "observed_at",
}

// parse reads a body: one item or an array. Items that are right are returned
// even if others are not. err is about the body as a whole.
func parse(body []byte, now time.Time) (items []feedback, problems []problem, err error) {
	if !utf8.Valid(body) {
		return nil, nil, errors.New("the body is not UTF-8")
	}
	if err := valid(body); err != nil {
		return nil, nil, err
	}
	list := []json.RawMessage{body}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] == '[' {
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, nil, fmt.Errorf("the body is not JSON: %w", err)
		}
		if len(list) == 0 {
			return nil, nil, errors.New("the array is empty")
		}
	}
	if len(list) > maxItems {
		return nil, nil, fmt.Errorf("the array has %d items, at most %d are allowed", len(list), maxItems)
	}
	for i, raw := range list {
		r := reader{now: now}
		if item := r.item(raw); r.problem == nil {
			items = append(items, item)
		} else {
			r.problem.Index = i
			problems = append(problems, *r.problem)
		}
	}
	return items, problems, nil
}

func valid(body []byte) error {
	var syntax *json.SyntaxError
	var v json.RawMessage
	switch err := json.Unmarshal(body, &v); {
	case errors.As(err, &syntax):
		return fmt.Errorf("the body is not JSON: %w, at byte %d", err, syntax.Offset)
	case err != nil:
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return nil
}

// reader checks one item; it keeps the first problem.
type reader struct {
	now     time.Time
	raw     map[string]json.RawMessage
	problem *problem
}

func (r *reader) fail(field, format string, args ...any) {
	if r.problem == nil {
		r.problem = &problem{Field: field, Error: fmt.Sprintf(format, args...)}
	}
}

func (r *reader) item(raw json.RawMessage) feedback {
	var f feedback
	if !r.open(raw) {
		return f
	}
	f.name = r.text("name", maxID)
	if f.name == "" {
		r.fail("name", "name is missing: the dimension of the feedback, such as \"solved\"")
	}
	f.value = r.number("value")
	f.label = r.text("label", maxID)
	f.explanation = r.text("explanation", maxExplanation)
	f.trajectoryID = hex.EncodeToString(r.hex("trajectory_id", 16))
	copy(f.traceID[:], r.hex("trace_id", 16))
	copy(f.spanID[:], r.hex("span_id", 8))
	f.responseID = r.text("response_id", maxID)
	f.conversationID = r.text("conversation_id", maxID)
	f.observedAt = r.time("observed_at")
	f.id = r.text("id", maxID)
	r.subject(f)
	if f.id == "" && r.problem == nil {
		f.id = f.hash(r.now)
	}
	return f
}

// subject checks that the item says what it is about.
func (r *reader) subject(f feedback) {
	switch {
	case f.spanID != [8]byte{} && f.traceID == [16]byte{}:
		r.fail("span_id", "span_id needs the trace_id of its trace")
	case f.trajectoryID == "" && f.traceID == [16]byte{} && f.responseID == "" && f.conversationID == "":
		r.fail("trajectory_id", "the item does not say what it is about: set trajectory_id, trace_id, response_id or conversation_id")
	}
}

// open splits an object into its fields and refuses unknown and repeated ones.
func (r *reader) open(raw json.RawMessage) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		r.fail("", "the item is not a JSON object")
		return false
	}
	r.raw = map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		var v json.RawMessage
		if err != nil || !ok || d.Decode(&v) != nil {
			r.fail("", "the item is not a JSON object")
			return false
		}
		if _, twice := r.raw[key]; twice {
			r.fail(key, "%s is given twice", key)
			return false
		}
		if !slices.Contains(fields, key) {
			r.fail(clip(key), "unknown field %q: the fields are %s", clip(key), strings.Join(fields, ", "))
			return false
		}
		r.raw[key] = v
	}
	return true
}

// get returns a field; null is as good as absent.
func (r *reader) get(field string) (json.RawMessage, bool) {
	v, ok := r.raw[field]
	return v, ok && string(v) != "null"
}

func (r *reader) text(field string, limit int) string {
	raw, ok := r.get(field)
	if !ok {
		return ""
	}
	var s string
	switch err := json.Unmarshal(raw, &s); {
	case err != nil:
		r.fail(field, "%s must be a text", field)
	case s == "":
		r.fail(field, "%s is empty: leave it out instead", field)
	case len(s) > limit:
		r.fail(field, "%s has %d bytes, at most %d are allowed", field, len(s), limit)
	case limit == maxID && strings.ContainsFunc(s, unicode.IsControl):
		r.fail(field, "%s contains control characters", field)
	}
	return s
}

func (r *reader) number(field string) float64 {
	raw, ok := r.get(field)
	if !ok {
		r.fail(field, "%s is missing: a number, true or false", field)
		return 0
	}
	switch string(raw) {
	case "true":
		return 1
	case "false":
		return 0
	}
	var v float64
	if json.Unmarshal(raw, &v) != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		r.fail(field, "%s must be a finite number, true or false, not %s", field, clip(string(raw)))
	}
	return v
}

// hex reads an id of n bytes; nil if absent or wrong.
func (r *reader) hex(field string, n int) []byte {
	s := r.text(field, maxID)
	if s == "" {
		return nil
	}
	id, err := hex.DecodeString(s)
	if err != nil || len(id) != n {
		r.fail(field, "%s must have %d hex digits", field, 2*n)
		return nil
	}
	if bytes.Count(id, []byte{0}) == n {
		r.fail(field, "%s is all zeros", field)
	}
	return id
}

func (r *reader) time(field string) time.Time {
	s := r.text(field, maxID)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	switch {
	case err != nil:
		r.fail(field, "%s must be a time with a zone, such as 2026-01-31T12:00:00Z", field)
	case t.Unix() <= 0:
		r.fail(field, "%s is before 1970", field)
	case t.After(r.now.Add(maxAhead)):
		r.fail(field, "%s is more than a day in the future", field)
	}
	return t
}

// clip shortens what a client wrote for an error message.
func clip(s string) string {
	if len(s) <= 40 {
		return s
	}
	return strings.ToValidUTF8(s[:40], "") + "…"
}
