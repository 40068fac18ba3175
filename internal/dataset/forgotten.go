package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
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

func markDir() string { return path.Join(layout, forgotten) + "/" }

// leaveMark makes every writer drop what is left of a person in stores, queues
// and files to be imported.
func leaveMark(ctx context.Context, b Bucket, p Person, at time.Time) error {
	text, err := json.Marshal(mark{Version: 1, At: at.UTC()})
	if err != nil {
		return err
	}
	return b.Put(ctx, markDir()+p.hash()+".json", bytes.NewReader(text), int64(len(text)))
}

// errForgottenMeanwhile is about a set that may hold what must not be written
// any more: it is to be made anew.
var errForgottenMeanwhile = errors.New("a user was forgotten meanwhile")

// marks are those of a dataset, by hash, in µs.
type marks struct {
	at    map[string]int64
	seen  map[string]Object // what they were read from
	dirAt time.Time         // of a folder: when it changed
}

// know reads the marks unless they were read before: [marks.unchanged] tells.
func (m *marks) know(ctx context.Context, b Bucket) error {
	if m.at != nil {
		return nil
	}
	_, err := m.refresh(ctx, b)
	return err
}

// unchanged fails with errForgottenMeanwhile if a user was forgotten since the
// marks were read, and reads them again.
func (m *marks) unchanged(ctx context.Context, b Bucket) error {
	changed, err := m.refresh(ctx, b)
	if err == nil && changed {
		err = errForgottenMeanwhile
	}
	return err
}

// refresh reads what is new, and reports whether there was any.
func (m *marks) refresh(ctx context.Context, b Bucket) (changed bool, err error) {
	d, local := b.(disk)
	var dirAt time.Time
	if local {
		info, err := os.Stat(d.path(markDir()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // nobody was ever forgotten
			changed = len(m.at) > 0
			*m = marks{at: map[string]int64{}}
			return changed, nil
		case err != nil:
			return false, err
		}
		dirAt = info.ModTime()
		if m.at != nil && dirAt.Equal(m.dirAt) && time.Since(dirAt) > time.Second {
			return false, nil // older than a tick of the file system's clock: nothing can have come since
		}
	}
	list, err := b.List(ctx, markDir())
	if err != nil {
		return false, err
	}
	now := marks{at: map[string]int64{}, seen: map[string]Object{}, dirAt: dirAt}
	for _, o := range list {
		hash, ok := strings.CutSuffix(path.Base(o.Name), ".json")
		if !ok || strings.HasPrefix(hash, ".") {
			continue
		}
		old, known := m.seen[hash]
		if known && old.Bytes == o.Bytes && old.Time.Equal(o.Time) {
			now.at[hash] = m.at[hash]
		} else if now.at[hash], err = readMark(ctx, b, o); err != nil {
			return false, err
		}
		changed = changed || now.at[hash] != m.at[hash]
		now.seen[hash] = o
	}
	*m = now
	return changed, nil
}

func readMark(ctx context.Context, b Bucket, o Object) (int64, error) {
	var text bytes.Buffer
	if err := b.Get(ctx, o.Name, &text, o.Bytes); err != nil {
		return 0, err
	}
	var one mark
	if err := json.Unmarshal(text.Bytes(), &one); err != nil || one.Version != 1 {
		return 0, fmt.Errorf("read %s/%s: it is broken, and says which user must not be written: run tracegrad forget for them again, then remove it", b, o.Name)
	}
	return one.At.UnixMicro(), nil
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
