package parquetexporter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
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
	dir string
	max int64

	mu   sync.Mutex
	used int64
	seq  int
}

const block = 4096

func openQuarantine(dir string, maxBytes int64) (*quarantine, error) {
	q := &quarantine{dir: dir, max: maxBytes}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // removed just now
		}
		q.used += max(info.Size(), block)
	}
	return q, nil
}

// keep writes items into a new file, as many as the bound allows, and says
// where and how many it did not keep.
func (q *quarantine) keep(items []badItem, now time.Time) (path string, dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
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
	if err := os.MkdirAll(q.dir, 0o750); err != nil {
		return "", len(items), fmt.Errorf("write quarantine: %w", err)
	}
	q.seq++
	path = filepath.Join(q.dir, fmt.Sprintf("%s-%d.jsonl", now.UTC().Format("20060102T150405.000000000"), q.seq))
	if err := os.WriteFile(path, lines, 0o640); err != nil {
		return "", len(items), errors.Join(fmt.Errorf("write quarantine: %w", err), os.Remove(path))
	}
	q.used += max(int64(len(lines)), block)
	return path, dropped, nil
}
