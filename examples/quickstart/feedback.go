package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// verdict is what an application says of a run, by any id it has: here the id
// of the trace.
type verdict struct {
	TraceID string `json:"trace_id"`
	Name    string `json:"name"`
	Value   bool   `json:"value"`
}

// verdicts reads who was right from the captures' ground truth.
func (d *demo) verdicts() ([]verdict, error) {
	f, err := os.Open(filepath.Join(d.captures, "truth.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []verdict
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var truth struct {
			TraceIDs []string `json:"trace_ids"`
			Expected struct {
				Correct bool `json:"correct"`
			} `json:"expected"`
		}
		if err := json.Unmarshal(lines.Bytes(), &truth); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
		if len(truth.TraceIDs) > 0 {
			all = append(all, verdict{TraceID: truth.TraceIDs[0], Name: "solved", Value: truth.Expected.Correct})
		}
	}
	return all, lines.Err()
}

// feedback posts the verdicts the way an application would.
func (d *demo) feedback(ctx context.Context) error {
	verdicts, err := d.verdicts()
	if err != nil {
		return err
	}
	url := d.collector.URL(localcollector.Feedback) + "/v1/feedback"
	right := 0
	for i, v := range verdicts {
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		answer, err := post(ctx, url, body)
		if err != nil {
			return err
		}
		if i == 0 {
			d.say("$ curl --json '%s' %s\n%s\n", body, url, answer)
		}
		if v.Value {
			right++
		}
	}
	if err := d.collector.SettleFacts(ctx, len(verdicts)); err != nil {
		return err
	}
	d.say("… and %d more: %d of %d runs solved their task.", len(verdicts)-1, right, len(verdicts))
	return nil
}

// post sends JSON and returns the answer on one line; only 2xx will do.
func post(ctx context.Context, url string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(answer))
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("post %s: %s: %s", url, resp.Status, line)
	}
	return line, nil
}
