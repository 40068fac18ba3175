package parquetexporter

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/tracegrad/tracegrad/internal/bucket"
)

// badItem is a span or log record that cannot be read. Its JSON is a line of a quarantine file.
type badItem struct {
	Reason string `json:"reason"` // see metadata.yaml
	Error  string `json:"error"`
	Data   []byte `json:"data"` // what came: an encoded trajectory, or OTLP/JSON of the log record; base64
}

// The reasons, with those of [genai.Verdict]. They are values of the metric's
// attribute, too.
const (
	reasonNotBytes    = "not_bytes"
	reasonUndecodable = "undecodable"
	reasonInvalid     = "invalid_trajectory"
)

// quarantine is a folder of files with lines of badItem. The sum of their
// sizes is bounded; each counts at least as a block, which bounds their number, too.
type quarantine struct {
	drawer drawer
	max    int64

	mu   sync.Mutex
	used int64 // -1 = not known yet
	seq  int
}

// drawer is where the files lie.
type drawer interface {
	sizes(context.Context) ([]int64, error)
	put(ctx context.Context, name string, lines []byte) (path string, err error)
	close() error
}

const block = 4096

// openQuarantine opens the quarantine of a writer beside the dataset's tables.
func openQuarantine(ctx context.Context, root, writer string, maxBytes int64) (*quarantine, error) {
	if !bucket.IsURL(root) {
		q := &quarantine{drawer: folder(filepath.Join(root, "quarantine", writer)), max: maxBytes}
		return q, q.count(ctx)
	}
	b, err := bucket.Open(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	return &quarantine{drawer: objects{b, path.Join("quarantine", writer)}, max: maxBytes, used: -1}, nil
}

func (q *quarantine) close() error { return q.drawer.close() }

// count adds up what is there.
func (q *quarantine) count(ctx context.Context) error {
	sizes, err := q.drawer.sizes(ctx)
	if err != nil {
		return fmt.Errorf("open quarantine: %w", err)
	}
	q.used = 0
	for _, n := range sizes {
		q.used += max(n, block)
	}
	return nil
}

// keep writes items into a new file, as many as the bound allows, and says
// where and how many it did not keep.
func (q *quarantine) keep(ctx context.Context, items []badItem, now time.Time) (path string, dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used < 0 { // a bucket, which was not asked at the start
		if err := q.count(ctx); err != nil {
			return "", len(items), err
		}
	}
	var lines []byte
	for i, item := range items {
		line, err := json.Marshal(item)
		if err != nil {
			return "", len(items), fmt.Errorf("write quarantine: %w", err)
		}
		if q.used+max(int64(len(lines)+len(line)+1), block) > q.max {
			dropped = len(items) - i
			break
		}
		lines = append(append(lines, line...), '\n')
	}
	if len(lines) == 0 {
		return "", dropped, nil
	}
	q.seq++
	name := fmt.Sprintf("%s-%d.jsonl", now.UTC().Format("20060102T150405.000000000"), q.seq)
	if path, err = q.drawer.put(ctx, name, lines); err != nil {
		return "", len(items), fmt.Errorf("write quarantine: %w", err)
	}
	q.used += max(int64(len(lines)), block)
	return path, dropped, nil
}
