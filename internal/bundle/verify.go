package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Verify checks an opened bundle's whole directory: every listed file is there,
// is a plain file, and has its size and digest; nothing else is there; nothing
// is a link. All problems are returned together, each naming its file and what
// to do.
func Verify(b *Bundle) error {
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return fmt.Errorf("verify bundle: %w: name a directory that holds %s", err, ManifestName)
	}
	defer func() { _ = root.Close() }()

	raw, err := readFile(root, ManifestName, maxManifestBytes)
	if err != nil {
		return fmt.Errorf("verify bundle %s: %w", b.Dir, err)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return fmt.Errorf("verify bundle %s: %s: %w", b.Dir, ManifestName, err)
	}
	if m.ID != b.Manifest.ID {
		return fmt.Errorf("verify bundle %s: %s: id changed from %s to %s since it was opened: open it again", b.Dir, ManifestName, b.Manifest.ID, m.ID)
	}

	listed := map[string]bool{ManifestName: true}
	dirs := map[string]bool{".": true}
	var errs []error
	for _, f := range m.Files {
		listed[f.Path] = true
		for d := path.Dir(f.Path); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
		errs = append(errs, verifyFile(root, f))
	}
	if !listed[ReadmeFile] {
		errs = append(errs, fmt.Errorf("%s: is not listed: a bundle carries its model card; rebuild it", ReadmeFile))
	}
	errs = append(errs, verifyNothingElse(root, listed, dirs))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("verify bundle %s: %w", b.Dir, err)
	}
	return nil
}

// verifyNothingElse walks the directory without following links.
func verifyNothingElse(root *os.Root, listed, dirs map[string]bool) error {
	var errs []error
	seen := 0
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > 4*maxFiles {
			return fmt.Errorf("%s: holds more than %d entries: keep only the bundle's own files there", root.Name(), 4*maxFiles)
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			errs = append(errs, fmt.Errorf("%s: is a link: replace it by the file itself", p))
		case d.IsDir():
			if !dirs[p] {
				errs = append(errs, fmt.Errorf("%s: is a directory that %s does not list: remove it", p, ManifestName))
				return fs.SkipDir
			}
		case !listed[p]:
			errs = append(errs, fmt.Errorf("%s: is not listed in %s: remove it", p, ManifestName))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// verifyFile checks one file's kind, size and digest without holding it.
func verifyFile(root *os.Root, f File) error {
	file, err := openPlain(root, f.Path, f.Size)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(file, f.Size+1)); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return checkDigest(f, hex.EncodeToString(h.Sum(nil)))
}

func checkDigest(f File, got string) error {
	if got != f.SHA256 {
		return fmt.Errorf("%s: its SHA-256 is %s, %s says %s: the file was changed; restore it", f.Path, got, ManifestName, f.SHA256)
	}
	return nil
}

// readDigested reads one listed file and checks it.
func readDigested(root *os.Root, f File) ([]byte, error) {
	if f.Size > maxPromptBytes {
		return nil, fmt.Errorf("%s: has %d bytes, at most %d are read: rebuild the bundle", f.Path, f.Size, maxPromptBytes)
	}
	file, err := openPlain(root, f.Path, f.Size)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, f.Size+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	sum := sha256.Sum256(content)
	return content, checkDigest(f, hex.EncodeToString(sum[:]))
}

// openPlain opens a plain file of exactly the given size; [os.Root] keeps it
// inside the bundle.
func openPlain(root *os.Root, name string, size int64) (*os.File, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: is missing: %s lists it; restore it", name, ManifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a plain file: replace it by the file itself", name)
	}
	if info.Size() != size {
		return nil, fmt.Errorf("%s: has %d bytes, %s says %d: the file was changed; restore it", name, info.Size(), ManifestName, size)
	}
	return root.Open(name)
}

// readFile reads a plain file whose size is not known, up to limit bytes.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: must be a plain file of at most %d bytes", name, limit)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, limit))
}
