package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const (
	quarantineDir = "quarantine"
	// A user's id of so many bytes is looked for anywhere; a shorter one only
	// where no letter or digit comes right before it: "7" is in every number.
	tellingID = 16
)

// badLine is a line of a quarantine file: bytes that could not be read.
type badLine struct {
	Data []byte `json:"data"`
}

// ids are texts that may be the id of a trace or of a trajectory.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}`)

// fromQuarantine removes the lines of what could not be read in which the
// person's id stands, or that of one of their trajectories or traces.
func (f *forgetter) fromQuarantine(ctx context.Context) error {
	files, err := f.bucket.List(ctx, quarantineDir+"/")
	if err != nil {
		return err
	}
	for _, o := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		var all bytes.Buffer
		if err := f.bucket.Get(ctx, o.Name, &all, o.Bytes); err != nil {
			f.leave(o.Name, err)
			continue
		}
		kept, gone, broken := f.withoutPerson(all.Bytes())
		if broken != nil {
			f.leave(o.Name, broken)
		}
		if gone == 0 {
			continue
		}
		if !f.DryRun {
			f.rows += gone
		}
		f.files++
		switch {
		case f.DryRun:
		case len(kept) == 0:
			err = f.bucket.Remove(ctx, o.Name)
		default:
			err = f.bucket.Put(ctx, o.Name, bytes.NewReader(kept), int64(len(kept)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutPerson is the lines of a quarantine file that say nothing of the
// person, as they are, and how many others there were. A line that is none of a
// quarantine file's stays, and the error names it.
func (f *forgetter) withoutPerson(text []byte) (kept []byte, gone int64, broken error) {
	lines := bufio.NewReader(bytes.NewReader(text))
	for n := 1; ; n++ {
		line, end := lines.ReadBytes('\n')
		if len(line) > 0 {
			var bad badLine
			if err := json.Unmarshal(line, &bad); err != nil {
				broken = errors.Join(broken, fmt.Errorf("line %d: %w", n, err))
			}
			if f.names(bad.Data) {
				gone++
			} else {
				kept = append(kept, line...)
			}
		}
		if end != nil {
			return kept, gone, broken
		}
	}
}

func (f *forgetter) names(data []byte) bool {
	if hasID(data, f.person.User) {
		return true
	}
	for _, id := range ids.FindAll(data, -1) {
		if f.ids[string(id)] || f.traces[string(id)] {
			return true
		}
	}
	return false
}

// hasID reports whether an id stands in data as one.
func hasID(data []byte, id string) bool {
	for from := 0; ; {
		i := bytes.Index(data[from:], []byte(id))
		if i < 0 {
			return false
		}
		i += from
		if len(id) >= tellingID || i == 0 || !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(data[i-1])) {
			return true
		}
		from = i + 1
	}
}
