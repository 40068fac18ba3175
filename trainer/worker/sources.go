package worker

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed python/tracegrad_worker/*.py
var sources embed.FS

// unpack writes the Python sources to a folder named by what they say, and is
// the folder to be searched for the module.
func unpack(cache string) (string, error) {
	const module = "python/tracegrad_worker"
	files, err := fs.ReadDir(sources, module)
	if err != nil {
		return "", err
	}
	contents, sum := map[string][]byte{}, sha256.New()
	for _, file := range files { // sorted by name
		text, err := sources.ReadFile(module + "/" + file.Name())
		if err != nil {
			return "", err
		}
		contents[file.Name()] = text
		sum.Write(append([]byte(file.Name()+"\x00"), text...))
	}
	folder := filepath.Join(cache, "worker", "sources-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(folder), ".sources-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	if err := os.Mkdir(filepath.Join(partial, "tracegrad_worker"), 0o755); err != nil {
		return "", err
	}
	for name, text := range contents {
		if err := os.WriteFile(filepath.Join(partial, "tracegrad_worker", name), text, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(partial, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, missing := os.Stat(folder); missing != nil { // another process may have been faster
			return "", err
		}
	}
	return folder, nil
}
