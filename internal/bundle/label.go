package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The labels that tracegrad itself gives a meaning.
const (
	LabelProduction = "production" // what agents are served and a night starts from
	LabelCanary     = "canary"     // what a share of the traffic is served
)

const labelsDir = "labels"

var labelName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Resolve finds the bundle directory that a label, or a bundle ID, names below
// a bundles root: <root>/labels/<label> holds the ID, <root>/<id> the bundle.
// An unset label is [fs.ErrNotExist].
func Resolve(root, ref string) (dir string, err error) {
	id := ref
	if !hexDigest.MatchString(ref) {
		if id, err = LabelID(root, ref); err != nil {
			return "", err
		}
	}
	dir = filepath.Join(root, id)
	if _, err := os.Stat(filepath.Join(dir, ManifestName)); err != nil {
		return "", fmt.Errorf("resolve %q in %s: %w: put bundle %s there or set the label to another", ref, root, err, id)
	}
	return dir, nil
}

// LabelID is the bundle ID that a label holds, whether or not that bundle is
// there. An unset label is [fs.ErrNotExist].
func LabelID(root, label string) (id string, err error) {
	if err := checkLabel(label); err != nil {
		return "", err
	}
	name := filepath.Join(root, labelsDir, label)
	raw, err := readStart(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("resolve label %q: %w: set it first with tracegrad bundle label", label, err)
	}
	if err != nil {
		return "", fmt.Errorf("resolve label %q: %w", label, err)
	}
	if id = strings.TrimSpace(string(raw)); !hexDigest.MatchString(id) {
		return "", fmt.Errorf("resolve label %q: %s: must hold one bundle id of 64 hex digits: set the label again", label, name)
	}
	return id, nil
}

// readStart reads as much of a file as a label can have, and a little more.
func readStart(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, 256))
}

// Labels are the labels that are set in root, with their IDs, and those whose
// file holds no ID with "".
func Labels(root string) (map[string]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, labelsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if labelName.MatchString(e.Name()) && !e.IsDir() {
			out[e.Name()], _ = LabelID(root, e.Name())
		}
	}
	return out, nil
}

// UnsetLabel removes a label: whoever follows it has no bundle then. It is done
// if there is none.
func UnsetLabel(root, label string) error {
	if err := checkLabel(label); err != nil {
		return err
	}
	dir := filepath.Join(root, labelsDir)
	err := os.Remove(filepath.Join(dir, label))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("unset label %q: %w", label, err)
	}
	return nil
}

// SetLabel points a label at a bundle that is in root. Readers see the old or
// the new ID, never less; when SetLabel returns nil the change is durable.
// [MoveLabel] records it as well.
func SetLabel(root, label, id string) (err error) {
	if err := checkTarget(root, label, id); err != nil {
		return err
	}
	dir := filepath.Join(root, labelsDir)
	if err := replaceFile(dir, label, id+"\n"); err != nil {
		return fmt.Errorf("set label %q: %w", label, err)
	}
	return nil
}

// checkTarget says why a label cannot be pointed at a bundle.
func checkTarget(root, label, id string) error {
	if err := checkLabel(label); err != nil {
		return err
	}
	if !hexDigest.MatchString(id) {
		return fmt.Errorf("set label %q: %q is not a bundle id of 64 hex digits", label, id)
	}
	b, err := Open(filepath.Join(root, id))
	if err != nil {
		return fmt.Errorf("set label %q: %w", label, err)
	}
	if b.ID() != id {
		return fmt.Errorf("set label %q: %s holds bundle %s: a bundle's directory is named by its id", label, b.Dir, b.ID())
	}
	return nil
}

func replaceFile(dir, name, content string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+name+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.WriteString(content)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func checkLabel(label string) error {
	if !labelName.MatchString(label) {
		return fmt.Errorf("label %q: must be 1 to 63 lower-case letters, digits, and ._-", label)
	}
	return nil
}
