package openai

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"
)

// SetModel replaces the value of the member "model" of a JSON object: of a
// request, of an answer, or of one chunk of a stream. Every other byte stays.
// It reports false, and returns doc itself, where there is no such text or more
// than one, of which readers would choose differently. doc is not changed.
func SetModel(doc []byte, model string) ([]byte, bool) {
	from, old, ok := findModel(doc)
	if !ok {
		return doc, false
	}
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(model); err != nil { // strings always marshal
		panic("internal error: " + err.Error())
	}
	return slices.Concat(doc[:from], bytes.TrimSuffix(quoted.Bytes(), []byte("\n")), doc[from+len(old):]), true
}

// Model is the model that a request or an answer names, under the same
// conditions as [SetModel].
func Model(doc []byte) (string, bool) {
	_, raw, ok := findModel(doc)
	if !ok {
		return "", false
	}
	return gjson.Parse(raw).Str, true
}

// findModel is the place and the raw text of the one member "model".
func findModel(doc []byte) (from int, raw string, ok bool) {
	if !gjson.ValidBytes(doc) {
		return 0, "", false
	}
	root := gjson.ParseBytes(doc)
	if !root.IsObject() {
		return 0, "", false
	}
	// ParseBytes leaves out the space before the value, and ForEach counts from it.
	lead := len(doc) - len(bytes.TrimLeft(doc, " \t\r\n"))
	found := 0
	root.ForEach(func(key, v gjson.Result) bool {
		if key.String() == "model" {
			found++
			from, raw, ok = lead+v.Index-root.Index, v.Raw, v.Type == gjson.String
		}
		return true
	})
	return from, raw, ok && found == 1
}
