package vllm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Chat is what is rendered in token ids, in the form of OpenAI's API.
type Chat struct {
	Model    string          `json:"model"`
	Messages any             `json:"messages"`
	Tools    json.RawMessage `json:"tools,omitempty"`
	Generate bool            `json:"add_generation_prompt"`
}

// Tokenize renders a chat as the server does before it generates. What its
// template or its checks say against the chat is a *[Refusal].
func (s *Server) Tokenize(ctx context.Context, chat Chat) ([]int32, error) {
	var answer struct {
		Tokens []int32 `json:"tokens"`
	}
	if err := s.call(ctx, http.MethodPost, "/tokenize", chat, &answer); err != nil {
		return nil, fmt.Errorf("tokenize a chat: %w", err)
	}
	if len(answer.Tokens) == 0 {
		return nil, errors.New("tokenize a chat: the server's answer holds no tokens: it is no vLLM")
	}
	return answer.Tokens, nil
}
