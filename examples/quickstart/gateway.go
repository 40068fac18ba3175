package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// request is what a plain OpenAI client sends; its agent knows nothing of us.
var request = chat{
	Model: "gpt-4.1-mini",
	Messages: []message{
		{Role: "system", Content: "You are a travel assistant. Use the tools."},
		{Role: "user", Content: "I am flying to Oslo tomorrow and staying for two days. Check the weather there and tell me what to pack."},
	},
}

// gateway starts a second Collector between an agent and its model and shows
// what the agent sent, and what the model received.
func (d *demo) gateway(ctx context.Context) error {
	model, err := startUpstream()
	if err != nil {
		return err
	}
	defer model.stop()
	env, err := d.bundleFor(ctx)
	if err != nil {
		return err
	}
	env = append(env, "TRACEGRAD_UPSTREAM="+model.endpoint, "TRACEGRAD_COLLECTOR="+d.collector.Address(localcollector.OTLPGRPC))
	gw, err := d.start(ctx, "gateway.yaml", env)
	if err != nil {
		return err
	}
	base := gw.URL(localcollector.Gateway) + "/v1"
	d.say("The agent's only change is its base URL: %s\n", base)
	if err := d.exchange(ctx, base, model); err != nil {
		return err
	}
	return d.exchangeStreaming(ctx, base)
}

// bundleFor promotes the bundle if its gate passed. It returns what tells the
// gateway which bundle to take.
func (d *demo) bundleFor(ctx context.Context) ([]string, error) {
	b := d.night.bundle
	if b.Manifest.Status == bundle.StatusReleased {
		if err := d.tracegrad(ctx, "bundle", "label", b.Dir, bundle.LabelProduction); err != nil {
			return nil, err
		}
		d.say("")
		return []string{"TRACEGRAD_BUNDLES=" + d.path("bundles")}, nil
	}
	d.say("The gate refused this bundle, so it stays a candidate and no agent would get it.\nFor the show only, the gateway is told to take it all the same:\n")
	return []string{"TRACEGRAD_BUNDLES=" + b.Dir, "TRACEGRAD_LABEL=", "TRACEGRAD_ALLOW_CANDIDATE=true"}, nil
}

// exchange sends one request and compares both ends of it.
func (d *demo) exchange(ctx context.Context, base string, model *upstream) error {
	sent, err := json.Marshal(request)
	if err != nil {
		return err
	}
	answer, err := post(ctx, base+"/chat/completions", sent)
	if err != nil {
		return err
	}
	received := model.last()
	if err := os.WriteFile(d.path("sent.json"), sent, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(d.path("received.json"), received, 0o644); err != nil {
		return err
	}
	var got chat
	if err := json.Unmarshal(received, &got); err != nil {
		return fmt.Errorf("read what the model received: %w", err)
	}
	d.say("What the agent sent (%d bytes, %s):\n", len(sent), d.path("sent.json"))
	d.show(request.Messages, request.Messages)
	d.say("\nWhat the model received (%d bytes, %s; + is what was added):\n", len(received), d.path("received.json"))
	added := d.show(got.Messages, request.Messages)
	if added == 0 {
		return errors.New("the gateway added nothing to the request")
	}
	var reply struct {
		Choices []struct {
			Message message `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal([]byte(answer), &reply); err != nil || len(reply.Choices) != 1 {
		return fmt.Errorf("read the model's answer: %s", answer)
	}
	d.say("\nWhat the agent got back:\n\n  %s", reply.Choices[0].Message.Content)
	return nil
}

// show prints messages and marks the lines that are not the agent's own, which
// come in their order. It returns how many were added.
func (d *demo) show(messages, sent []message) (added int) {
	var own []string
	for _, m := range sent {
		own = append(own, strings.Split(m.Content, "\n")...)
	}
	for _, m := range messages {
		role := m.Role
		for line := range strings.SplitSeq(m.Content, "\n") {
			mark := " "
			if len(own) > 0 && own[0] == line {
				own = own[1:]
			} else {
				mark = "+"
				added++
			}
			d.say("%s", strings.TrimRight(fmt.Sprintf("  %-9s %s %s", role, mark, line), " "))
			role = ""
		}
	}
	return added
}

// exchangeStreaming sends the same request for a stream and counts its events.
func (d *demo) exchangeStreaming(ctx context.Context, base string) error {
	streamed := request
	streamed.Stream = true
	body, err := json.Marshal(streamed)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, events, err := readStream(resp.Body)
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	d.say("\nThe same, streamed: %d events as they came from the model, together %d characters.", events, len(text))
	return nil
}

func readStream(r io.Reader) (text string, events int, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return text, events, nil
		}
		var chunk struct {
			Choices []struct {
				Delta message `json:"delta"`
			} `json:"choices"`
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return "", 0, err
		}
		events++
		for _, c := range chunk.Choices {
			text += c.Delta.Content
		}
	}
	return "", 0, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}
