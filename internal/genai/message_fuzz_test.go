package genai

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// FuzzMessages: whatever stands in a request or a response, reading it does not
// panic, says the same the second time and with a history before it, and what
// is read of parts is JSON.
func FuzzMessages(f *testing.F) {
	for _, raw := range messageSeeds() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		d := NewDecoder(Options{})
		asked, answered := readAll(d, raw)
		sound(t, append(asked, answered...))
		again, also := readAll(d, raw)
		if !reflect.DeepEqual(asked, again) || !reflect.DeepEqual(answered, also) {
			t.Fatalf("the second reading of %q differs:\n%s\n%s", raw, asJSON(asked, answered), asJSON(again, also))
		}
		grown, ok := longer(raw)
		if !ok {
			return
		}
		after, _ := readAll(d, grown)
		fresh, _ := readAll(NewDecoder(Options{}), grown)
		if !reflect.DeepEqual(after, fresh) {
			t.Fatalf("%q reads otherwise after its beginning:\n%s\n%s", grown, asJSON(after, nil), asJSON(fresh, nil))
		}
	})
}

// readAll reads a text as a request and as a response.
func readAll(d *Decoder, raw string) (asked, answered []trajectory.Message) {
	d.begin()
	defer d.end()
	ms, _ := d.request(raw, &trajectory.Call{})
	for _, m := range ms {
		asked = append(asked, *m)
	}
	ms, _ = d.response(raw, &trajectory.Call{})
	for _, m := range ms {
		answered = append(answered, *m)
	}
	return asked, answered
}

// sound checks what must hold of any message.
func sound(t *testing.T, ms []trajectory.Message) {
	t.Helper()
	for _, m := range ms {
		if m.Parts != "" && !json.Valid([]byte(m.Parts)) {
			t.Fatalf("parts are no JSON: %q", m.Parts)
		}
		if redacted(m.Text) && m.Role == trajectory.RoleAssistant && m.Text != "{}" && m.Text != "N/A" && len(m.ToolCalls) == 0 {
			t.Fatalf("a placeholder is a message: %q", m.Text)
		}
	}
}

// longer is a history with one more message; false for what is no list.
func longer(raw string) (string, bool) {
	raw = strings.TrimSpace(raw)
	if len(raw) < 3 || raw[0] != '[' || raw[len(raw)-1] != ']' || !json.Valid([]byte(raw)) {
		return "", false
	}
	return raw[:len(raw)-1] + `,{"role":"user","content":"And then?"}]`, true
}

func asJSON(a, b []trajectory.Message) string {
	raw, _ := json.Marshal([2][]trajectory.Message{a, b})
	return string(raw)
}

// messageSeeds are the values of all cases that look like messages, and some
// that are broken.
func messageSeeds() []string {
	seeds := []string{
		``, `null`, `[`, `[]`, `{}`, `"`, `"[{\"role\":\"user\",\"content\":\"hi\"}]"`, `[[{"role":"user","content":"a"}],[]]`, `[1,"a",null,{}]`,
		`{"messages":[["human","hi"]]}`, `{"choices":[{"message":{"content":"[REDACTED]"}}]}`, `[{"role":"tool","content":[{"a":1},2]}]`,
		`{"messages":[{"type":"ai","data":{"content":"x","invalid_tool_calls":[{"name":"f","args":"{"}]}}]}`, strings.Repeat(`{"message":`, 200),
	}
	files, _ := filepath.Glob("testdata/cases/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			continue
		}
		var c struct{ Attributes map[string]any }
		if json.Unmarshal(a.Files[0].Data, &c) != nil {
			continue
		}
		for _, v := range c.Attributes {
			if s, ok := v.(string); ok && len(s) > 1 && strings.ContainsAny(s[:1], `[{"`) {
				seeds = append(seeds, s)
			}
		}
	}
	return seeds
}
