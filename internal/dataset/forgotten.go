package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Person is a user as the telemetry names them.
type Person struct {
	User   string // user_id
	Tenant string // "" = of any tenant
}

// hash names a person in a mark, which must not say who it is about.
func (p Person) hash() string {
	sum := sha256.Sum256([]byte("tracegrad-forgotten-v1\x00" + p.Tenant + "\x00" + p.User))
	return hex.EncodeToString(sum[:])
}

// mark is v1/_forgotten/<hash>.json: nothing of the person that began before At
// comes into the dataset any more.
type mark struct {
	Version int       `json:"version"` // 1
	At      time.Time `json:"at"`
}

func forgottenDir(root string) string { return filepath.Join(versionDir(root), forgotten) }

// leaveMark makes every writer drop what is left of a person in stores, queues
// and files to be imported.
func leaveMark(root string, p Person, at time.Time, fileMode, dirMode fs.FileMode) error {
	text, err := json.Marshal(mark{Version: 1, At: at.UTC()})
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(forgottenDir(root), p.hash()+".json"), text, fileMode, dirMode)
}

// marks are those of a dataset, by hash, in µs. They are read again when their
// folder has changed.
type marks struct {
	changed time.Time
	at      map[string]int64
}

func (m *marks) refresh(root string) error {
	dir := forgottenDir(root)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		m.at = nil
		return nil
	}
	if err != nil {
		return err
	}
	if m.at != nil && info.ModTime().Equal(m.changed) && time.Since(m.changed) > time.Second {
		return nil // older than a tick of the file system's clock: nothing can have come since
	}
	at := map[string]int64{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var one mark
		if err := json.Unmarshal(text, &one); err != nil || one.Version != 1 {
			return fmt.Errorf("read %s: it is broken, and says which user must not be written: run tracegrad forget for them again, then remove it", path)
		}
		name := filepath.Base(path)
		at[name[:len(name)-len(".json")]] = one.At.UnixMicro()
	}
	m.changed, m.at = info.ModTime(), at
	return nil
}

// drops reports whether t is of a person who was forgotten after it began.
func (m *marks) drops(t *trajectory.Trajectory) bool {
	if len(m.at) == 0 || t.UserID == "" {
		return false
	}
	began := t.FirstSeenAt
	if t.StartedAt > 0 && (began == 0 || t.StartedAt < began) {
		began = t.StartedAt
	}
	return began <= max(m.at[Person{User: t.UserID}.hash()], m.at[Person{t.UserID, t.Tenant}.hash()])
}

// remembered are the trajectories that may be written.
func (m *marks) remembered(ts []*trajectory.Trajectory) []*trajectory.Trajectory {
	if len(m.at) == 0 {
		return ts
	}
	var out []*trajectory.Trajectory
	for _, t := range ts {
		if !m.drops(t) {
			out = append(out, t)
		}
	}
	return out
}
