package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// idPrefix is as much of an id as is taken for one.
var idPrefix = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// openBundle opens the bundle in the directory path, or the one that the last
// element of path names: a label, an id, or digits that only one id begins with.
func openBundle(path string) (*bundle.Bundle, error) {
	path = filepath.Clean(path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return bundle.Open(path)
	}
	root, ref := filepath.Split(path)
	root = filepath.Clean(root)
	dir, err := bundle.Resolve(root, ref)
	if _, label := os.Stat(filepath.Join(root, "labels", ref)); label != nil && errors.Is(err, fs.ErrNotExist) {
		dir, err = resolvePrefix(root, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", path, err)
	}
	return bundle.Open(dir)
}

// resolvePrefix is the directory of the one bundle in root whose id begins with
// prefix.
func resolvePrefix(root, prefix string) (string, error) {
	if !idPrefix.MatchString(prefix) {
		return "", fmt.Errorf("no such directory, and no label %q in %s: set it with tracegrad bundle label %s %s", prefix, root, filepath.Join(root, "ID"), prefix)
	}
	dirs, err := filepath.Glob(filepath.Join(root, prefix+"*", bundle.ManifestName))
	if err != nil {
		return "", err
	}
	switch len(dirs) {
	case 0:
		return "", fmt.Errorf("no id in %s begins with %s, and no label is called so", root, prefix)
	case 1:
		return filepath.Dir(dirs[0]), nil
	}
	var ids []string
	for _, d := range dirs {
		ids = append(ids, filepath.Base(filepath.Dir(d)))
	}
	return "", fmt.Errorf("%d ids begin with %s: write more of one of %s", len(ids), prefix, strings.Join(ids, ", "))
}
