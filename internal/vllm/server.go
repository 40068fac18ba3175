// Package vllm loads the adapters of bundles into a vLLM server, and takes them
// out again. [Deploy] is the arrow from a bundle to a server that answers with it.
//
// vLLM's prefix cache knows an adapter by its name and its path, so neither is
// ever used for another one: both hold the bundle's digest.
package vllm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Server speaks to one vLLM server.
type Server struct {
	base   *url.URL
	client *http.Client
	key    string
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// New takes the server's base URL, with or without the closing /v1. The key,
// which may be empty, is sent as a bearer token.
func New(base, key string, client *http.Client) (*Server, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no URL of a server: use one such as http://127.0.0.1:8000", base)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the server's URL must end with its path and hold no credentials")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	return &Server{base: u, client: client, key: key}, nil
}

// URL is the server's address.
func (s *Server) URL() string { return s.base.String() }

// Model is one entry of the server's list: the base model, whose Root is the
// string that the server was started with, or an adapter of the Parent, whose Root
// is its path as the server sees it.
type Model struct {
	ID     string `json:"id"`
	Root   string `json:"root"`
	Parent string `json:"parent"`
}

// Models lists what the server serves.
func (s *Server) Models(ctx context.Context) ([]Model, error) {
	var list struct {
		Data []Model `json:"data"`
	}
	if err := s.call(ctx, http.MethodGet, "/v1/models", nil, &list); err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	return list.Data, nil
}

// Load loads the adapter in a folder of the server's machine. It reports false if
// an adapter of that name was loaded before.
func (s *Server) Load(ctx context.Context, name, path string) (bool, error) {
	err := s.call(ctx, http.MethodPost, "/v1/load_lora_adapter", map[string]string{"lora_name": name, "lora_path": path}, nil)
	refused, ok := errors.AsType[*Refusal](err)
	switch {
	case err == nil:
		return true, nil
	case ok && refused.Status == http.StatusBadRequest && strings.Contains(refused.Message, "already been loaded"):
		return false, nil
	case ok && refused.noPath:
		return false, errors.New("load adapter: the server does not load adapters at run time: start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora, or use its resolver: --resolver-dir")
	}
	return false, fmt.Errorf("load adapter %s: %w", name, err)
}

// Unload takes an adapter out. It reports false if the server does not have it.
func (s *Server) Unload(ctx context.Context, name string) (bool, error) {
	err := s.call(ctx, http.MethodPost, "/v1/unload_lora_adapter", map[string]string{"lora_name": name}, nil)
	refused, ok := errors.AsType[*Refusal](err)
	switch {
	case err == nil:
		return true, nil
	case ok && refused.Status == http.StatusNotFound && !refused.noPath:
		return false, nil
	}
	return false, fmt.Errorf("unload adapter %s: %w", name, err)
}

// Answers asks a model for one token: whether it can answer at all.
func (s *Server) Answers(ctx context.Context, model string) error {
	var answer struct {
		Model   string            `json:"model"`
		Choices []json.RawMessage `json:"choices"`
	}
	ask := map[string]any{"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0}
	err := s.call(ctx, http.MethodPost, "/v1/completions", ask, &answer)
	switch {
	case err != nil:
		return fmt.Errorf("ask %s for a token: %w", model, err)
	case answer.Model != model || len(answer.Choices) != 1:
		return fmt.Errorf("ask %s for a token: %q answered with %d choices", model, answer.Model, len(answer.Choices))
	}
	return nil
}

// Refusal is an error that the server answered with.
type Refusal struct {
	Status  int
	Message string
	noPath  bool // the server has no such path at all
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the server answered %d: %s", r.Status, r.Message)
}

// call sends one request and reads the answer into out, if that is given.
func (s *Server) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base.String()+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return refusal(res.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s%s is no answer of an OpenAI-compatible server: %w", s.base, path, err)
	}
	return nil
}

// refusal reads an error of vLLM, or of the framework that it stands on.
func refusal(status int, raw []byte) error {
	var doc struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	}
	_ = json.Unmarshal(raw, &doc) // else there is no message
	r := &Refusal{Status: status, Message: doc.Error.Message}
	switch {
	case r.Message != "":
	case doc.Message != "":
		r.Message = doc.Message
	default:
		r.noPath = status == http.StatusNotFound
		r.Message = http.StatusText(status)
		if doc.Detail != nil {
			r.Message = fmt.Sprint(doc.Detail)
		}
	}
	return r
}
