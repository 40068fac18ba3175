package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/tracegrad/tracegrad/trainer/sequence"
)

var _ sequence.Tokenizer = (*Worker)(nil)

// most chats of one request; more are asked for in several.
const mostChats = 256

// Render renders chats with the base model's own chat template.
func (w *Worker) Render(ctx context.Context, chats []sequence.Chat) ([]sequence.Rendered, error) {
	out := make([]sequence.Rendered, 0, len(chats))
	for len(chats) > 0 {
		n := min(len(chats), mostChats)
		var answer struct {
			Rendered []sequence.Rendered `json:"rendered"`
		}
		if err := w.post(ctx, "render", map[string]any{"chats": chats[:n]}, &answer); err != nil {
			return nil, fmt.Errorf("render chats: %w", err)
		}
		if len(answer.Rendered) != n {
			return nil, fmt.Errorf("render chats: %d answers to %d chats", len(answer.Rendered), n)
		}
		out, chats = append(out, answer.Rendered...), chats[n:]
	}
	return out, nil
}

// mostAnswer bounds the bytes of an answer.
const mostAnswer = 1 << 30

func (w *Worker) post(ctx context.Context, path string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/api/v1/"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		var refusal struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(text, &refusal)
		return fmt.Errorf("worker answers %d: %s", response.StatusCode, refusal.Detail)
	}
	return json.Unmarshal(text, answer)
}
