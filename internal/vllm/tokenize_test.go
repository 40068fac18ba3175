package vllm

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTokenize(t *testing.T) {
	e := recorded(t, "tokenize")
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	chat := Chat{Model: "base", Generate: true, Messages: []message{
		{"system", "You are a helpful assistant."}, {"user", "What is the weather in Paris today?"},
	}}
	s := connect(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if assert.NoError(t, err) && assert.Equal(t, e.Path, r.URL.Path) {
			assert.JSONEq(t, string(e.Request), string(body), "asked as it was recorded")
		}
		e.write(w)
	})
	ids, err := s.Tokenize(t.Context(), chat)
	require.NoError(t, err)
	require.Len(t, ids, 30)
	assert.Equal(t, []int32{1, 383, 205}, ids[:3])

	s = connect(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"no"}}`, http.StatusBadRequest)
	})
	_, err = s.Tokenize(t.Context(), chat)
	refused := new(Refusal)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusBadRequest, refused.Status)

	s = connect(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"choices":[]}`) })
	_, err = s.Tokenize(t.Context(), chat)
	require.ErrorContains(t, err, "holds no tokens")
}
