package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// upstream is the model behind the gateway: a small OpenAI-compatible server
// that generates nothing. It answers with what it was shown, so that the same
// request always gets the same answer, and keeps what it received.
type upstream struct {
	server   *http.Server
	endpoint string

	mu       sync.Mutex
	received [][]byte
}

func startUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the model: %w", err)
	}
	u := &upstream{endpoint: "http://" + l.Addr().String() + "/v1"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", u.complete)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"object": "list", "data": []any{map[string]any{"id": "echo", "object": "model", "owned_by": "demo"}}})
	})
	u.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = u.server.Serve(l) }()
	return u, nil
}

func (u *upstream) stop() { _ = u.server.Close() }

// last is the latest request's body as it came.
func (u *upstream) last() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.received) == 0 {
		return nil
	}
	return u.received[len(u.received)-1]
}

// chat is what the demo reads of a chat-completions request.
type chat struct {
	Model    string    `json:"model"`
	Stream   bool      `json:"stream,omitempty"`
	Messages []message `json:"messages"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (u *upstream) complete(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	u.received = append(u.received, body)
	n := len(u.received)
	u.mu.Unlock()
	var c chat
	if err := json.Unmarshal(body, &c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, answer := fmt.Sprintf("chatcmpl-demo-%d", n), echo(c)
	if c.Stream {
		stream(w, id, c.Model, answer)
		return
	}
	writeJSON(w, map[string]any{
		"id": id, "object": "chat.completion", "created": 0, "model": c.Model,
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": message{Role: "assistant", Content: answer}}},
		"usage":   map[string]int{"prompt_tokens": words(c), "completion_tokens": len(strings.Fields(answer)), "total_tokens": words(c) + len(strings.Fields(answer))},
	})
}

// echo says what the model was shown.
func echo(c chat) string {
	shown := make([]string, len(c.Messages))
	for i, m := range c.Messages {
		shown[i] = fmt.Sprintf("%s message of %d words", m.Role, len(strings.Fields(m.Content)))
	}
	return "I was shown: " + strings.Join(shown, ", ") + "."
}

func words(c chat) int {
	n := 0
	for _, m := range c.Messages {
		n += len(strings.Fields(m.Content))
	}
	return n
}

// stream answers in server-sent events, a word each.
func stream(w http.ResponseWriter, id, model, answer string) {
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(delta map[string]string, finish any) {
		data, _ := json.Marshal(map[string]any{
			"id": id, "object": "chat.completion.chunk", "created": 0, "model": model,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
		})
		fmt.Fprintf(w, "data: %s\n\n", data)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	event(map[string]string{"role": "assistant", "content": ""}, nil)
	for _, word := range strings.SplitAfter(answer, " ") {
		event(map[string]string{"content": word}, nil)
	}
	event(map[string]string{}, "stop")
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
