package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Files are a bundle's files by path (relative, with slashes), without the
// manifest.
type Files map[string][]byte

// Write writes a bundle to dir, which must not exist. m's Version, ID and Files
// are computed; CreatedAt is cut to whole seconds in UTC. m.Kind decides which
// files are needed ([PromptFiles] makes those of a prompt).
//
// The bundle appears whole or not at all: it is written beside dir, synced and
// renamed. When Write returns nil, it is durable.
func Write(dir string, m Manifest, files Files) (*Bundle, error) {
	manifest, err := seal(&m, files)
	if err != nil {
		return nil, fmt.Errorf("write bundle %s: %w", dir, err)
	}
	b, err := assemble(dir, m, files)
	if err != nil {
		return nil, fmt.Errorf("write bundle %s: %w", dir, err)
	}
	if err := writeDir(dir, manifest, files); err != nil {
		return nil, fmt.Errorf("write bundle %s: %w", dir, err)
	}
	return b, nil
}

// Add writes a bundle to <root>/<id>, the place where [Resolve] looks for it.
// If that very bundle is already there it is verified and returned.
func Add(root string, m Manifest, files Files) (*Bundle, error) {
	sealed := m
	if _, err := seal(&sealed, files); err != nil {
		return nil, fmt.Errorf("add bundle to %s: %w", root, err)
	}
	dir := filepath.Join(root, sealed.ID)
	if _, err := os.Lstat(dir); err == nil {
		b, err := Open(dir)
		if err != nil {
			return nil, err
		}
		return b, Verify(b)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("add bundle to %s: %w", root, err)
	}
	return Write(dir, m, files)
}

// seal fills in what is computed, checks the manifest, and returns bundle.json.
func seal(m *Manifest, files Files) ([]byte, error) {
	m.Version = Version
	m.CreatedAt = m.CreatedAt.UTC().Truncate(time.Second)
	m.Files = make([]File, 0, len(files))
	for p, content := range files {
		sum := sha256.Sum256(content)
		m.Files = append(m.Files, File{Path: p, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))})
	}
	slices.SortFunc(m.Files, func(a, b File) int { return compare(a.Path, b.Path) })
	if err := m.validate(); err != nil {
		return nil, err
	}
	if _, ok := files[ReadmeFile]; !ok {
		return nil, fmt.Errorf("%s: is missing: a bundle carries its model card", ReadmeFile)
	}
	m.ID = ""
	unsigned, err := marshalIndent(m)
	if err != nil {
		return nil, err
	}
	if m.ID, err = digestManifest(unsigned); err != nil {
		return nil, err
	}
	return marshalIndent(m)
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func writeDir(dir string, manifest []byte, files Files) (err error) {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return errors.New("is already there: bundles are immutable; choose another directory")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for p, content := range files {
		if err := writeSynced(filepath.Join(tmp, filepath.FromSlash(p)), content); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(tmp, ManifestName), manifest); err != nil {
		return err
	}
	if err := syncDirs(tmp, files); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func writeSynced(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDirs makes the names of the files durable.
func syncDirs(root string, files Files) error {
	dirs := map[string]bool{".": true}
	for p := range files {
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	for d := range dirs {
		if err := syncDir(filepath.Join(root, filepath.FromSlash(d))); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
