package trainer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Night is a line of nights.jsonl: an adapter night that came to its end. The
// file is the memory that nights have of each other; it is replaced whole, under
// the lock of the runs directory.
type Night struct {
	Run          string    `json:"run"`
	Name         string    `json:"name"`
	BaseModel    string    `json:"base_model"`
	Until        time.Time `json:"until"` // the watermark: what ended later was not looked at
	Bundle       string    `json:"bundle"`
	Engine       string    `json:"engine,omitempty"` // url; "" = our worker
	State        string    `json:"state"`            // on the engine: where a night that starts from the bundle goes on
	Moved        float64   `json:"moved"`            // KL that the policy moved by, nats per token
	PerSecond    float64   `json:"tokens_per_s"`     // of the update, for the next night's estimate
	Trajectories []string  `json:"trajectories"`     // that were trained on
}

const ledgerFile = "nights.jsonl"

// ledger is the nights of one name, but for one run.
type ledger struct {
	nights []Night // all there are
	name   string
	except string
}

// readLedger reads the nights so far; a file that cannot be understood is an
// error: without it trajectories would be trained on again.
func readLedger(runs, name, except string) (*ledger, error) {
	l := &ledger{name: name, except: except}
	path := filepath.Join(runs, ledgerFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read earlier nights: %w", err)
	}
	lines := json.NewDecoder(bufio.NewReader(bytes.NewReader(text)))
	for lines.More() {
		var n Night
		if err := lines.Decode(&n); err != nil {
			return nil, fmt.Errorf("read earlier nights: %s: night %d: %w: restore the file, or move it away to forget what was trained on", path, len(l.nights)+1, err)
		}
		l.nights = append(l.nights, n)
	}
	return l, nil
}

// each yields the earlier nights, oldest first.
func (l *ledger) each(yield func(*Night) bool) {
	for i := range l.nights {
		if n := &l.nights[i]; n.Name == l.name && n.Run != l.except && !yield(n) {
			return
		}
	}
}

// uses counts the nights that trained on a trajectory.
func (l *ledger) uses() map[string]int {
	out := map[string]int{}
	for n := range l.each {
		for _, id := range n.Trajectories {
			out[id]++
		}
	}
	return out
}

// last is the latest night, nil if there was none.
func (l *ledger) last() (out *Night) {
	for n := range l.each {
		out = n
	}
	return out
}

// record writes a night down. The same run replaces what it said before.
func (l *ledger) record(runs string, n Night) error {
	l.nights = append(slices.DeleteFunc(l.nights, func(old Night) bool { return old.Run == n.Run }), n)
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	for i := range l.nights {
		if err := lines.Encode(&l.nights[i]); err != nil {
			return fmt.Errorf("write %s: %w", ledgerFile, err)
		}
	}
	if err := writeFile(filepath.Join(runs, ledgerFile), out.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", ledgerFile, err)
	}
	return nil
}
