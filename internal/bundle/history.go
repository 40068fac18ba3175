package bundle

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Move is one line of a label's history: what it was moved to, and from what.
// An ID is "" where the label was, or is no longer, set.
type Move struct {
	At       time.Time `json:"at"` // UTC
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Rollback bool      `json:"rollback,omitempty"` // it undoes the last move that is not undone
	Forced   bool      `json:"forced,omitempty"`   // although the bundle's gate did not pass
}

const (
	historyDir = "history"
	// maxHistory bounds what is read of a history, from its end.
	maxHistory = 4 << 20
)

// ErrNoHistory says that nothing is known of a label before what it is now.
var ErrNoHistory = errors.New("no earlier bundle is recorded")

// MoveLabel points a label at m.To as [SetLabel] does, or unsets it if that is
// empty, and records it in <root>/history/<label>.jsonl. m.From is filled in. A
// label that is there already stays, and nothing is recorded.
//
// The line is written before the label. If only the line is there after a crash,
// the label is what holds: see [Previous].
func MoveLabel(root, label string, m Move) (Move, error) {
	m.At = m.At.UTC()
	var err error
	if m.From, err = current(root, label); err != nil {
		return m, err
	}
	if m.From == m.To {
		return m, nil
	}
	if m.To != "" { // before it is recorded
		if err := checkTarget(root, label, m.To); err != nil {
			return m, err
		}
	}
	if err := record(root, label, m); err != nil {
		return m, fmt.Errorf("record the move of label %q: %w", label, err)
	}
	if m.To == "" {
		return m, UnsetLabel(root, label)
	}
	return m, SetLabel(root, label, m.To)
}

// current is what a label holds; "" if it is unset or holds no ID: it can be
// moved all the same.
func current(root, label string) (string, error) {
	if err := checkLabel(label); err != nil {
		return "", err
	}
	id, err := LabelID(root, label)
	if _, isPath := errors.AsType[*fs.PathError](err); isPath && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return id, nil
}

// Previous is the bundle that a label goes back to: "" if it was unset before.
// Moves and rollbacks are undone like a stack: after going back from C to B, B's
// predecessor A is next. If somebody has set the label by other means since, it
// is the last bundle that is recorded. [ErrNoHistory] if nothing is.
func Previous(root, label string) (id string, err error) {
	now, err := current(root, label)
	if err != nil {
		return "", err
	}
	moves, err := History(root, label)
	if err != nil {
		return "", err
	}
	if n := len(moves); n > 0 && moves[n-1].To != now {
		if moves[n-1].From != now { // set by other means
			return moves[n-1].To, nil
		}
		moves = moves[:n-1] // written down, and never came about
	}
	var before []string // what the label was, the latest last
	for _, m := range moves {
		if n := len(before); m.Rollback && n > 0 && before[n-1] == m.To {
			before = before[:n-1]
		} else {
			before = append(before, m.From)
		}
	}
	for i := len(before) - 1; i >= 0; i-- {
		if before[i] != now {
			return before[i], nil
		}
	}
	return "", fmt.Errorf("label %q in %s: %w: name the bundle with tracegrad bundle promote", label, root, ErrNoHistory)
}

// History is what is recorded of a label, the oldest first; nil if nothing is. A
// line that is not whole, such as one that a crash has cut, is left out.
func History(root, label string) ([]Move, error) {
	if err := checkLabel(label); err != nil {
		return nil, err
	}
	f, err := os.Open(historyFile(root, label))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of label %q: %w", label, err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > maxHistory {
		if _, err := f.Seek(-maxHistory, io.SeekEnd); err != nil {
			return nil, fmt.Errorf("read the history of label %q: %w", label, err)
		}
	}
	var moves []Move
	lines := bufio.NewScanner(io.LimitReader(f, maxHistory))
	for lines.Scan() {
		var m Move
		if json.Unmarshal(lines.Bytes(), &m) == nil && !m.At.IsZero() {
			moves = append(moves, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the history of label %q: %w", label, err)
	}
	return moves, nil
}

func historyFile(root, label string) string {
	return filepath.Join(root, historyDir, label+".jsonl")
}

// record appends a line, on a line of its own even after one that a crash has
// cut.
func record(root, label string, m Move) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	name := historyFile(root, label)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	last := make([]byte, 1)
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}
