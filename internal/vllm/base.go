package vllm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// findBase finds the adapter's base among a server's models: the name under
// which it is served, and the name that the server was started with.
func findBase(b *bundle.Bundle, models []Model, o Options) (id, root string, err error) {
	want := b.Manifest.BaseModel
	var has []string
	var bases []Model
	for _, m := range models {
		if m.Parent == "" {
			bases = append(bases, m)
			has = append(has, fmt.Sprintf("%q (as %q)", m.Root, m.ID))
		}
	}
	for _, m := range bases {
		if m.Root == want || sameFolder(m.Root, want) || m.ID == want {
			return m.ID, m.Root, nil
		}
	}
	if o.SameBase && len(bases) > 0 {
		return bases[0].ID, bases[0].Root, nil
	}
	return "", "", fmt.Errorf("deploy %s: is an adapter of %q, and the server serves %s: vLLM would load it without a word and answer with noise; "+
		"deploy it to a server of that model, or, if it is that model under another name, say so with --same-base", b.Dir, want, strings.Join(has, ", "))
}

// sameFolder says whether two names are one folder of this machine.
func sameFolder(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && x.IsDir() && os.SameFile(x, y)
}

// findShapes reads the base model's shapes where it is on this machine.
func findShapes(b *bundle.Bundle, root string, o Options) (bundle.BaseShapes, error) {
	if o.BaseDir != "" {
		return bundle.ReadBaseShapes(o.BaseDir)
	}
	for _, dir := range []string{root, b.Manifest.BaseModel, hubFolder(root), hubFolder(b.Manifest.BaseModel)} {
		if info, err := os.Stat(dir); dir == "" || err != nil || !info.IsDir() {
			continue
		}
		shapes, err := bundle.ReadBaseShapes(dir)
		if errors.Is(err, bundle.ErrNoShapes) {
			continue
		}
		return shapes, err
	}
	return nil, fmt.Errorf("check adapter %s: %w: %q is not on this machine: name a folder with its config.json or its weights with --base", b.Dir, bundle.ErrNoShapes, b.Manifest.BaseModel)
}

// hubFolder is where Hugging Face's libraries keep a model that they downloaded;
// "" if it is not there.
func hubFolder(model string) string {
	if strings.Count(model, "/") != 1 || strings.HasPrefix(model, ".") || strings.HasPrefix(model, "/") {
		return ""
	}
	cache := os.Getenv("HF_HUB_CACHE")
	if cache == "" {
		home := os.Getenv("HF_HOME")
		if home == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return ""
			}
			home = filepath.Join(user, ".cache", "huggingface")
		}
		cache = filepath.Join(home, "hub")
	}
	dir := filepath.Join(cache, "models--"+strings.ReplaceAll(model, "/", "--"))
	commit, err := os.ReadFile(filepath.Join(dir, "refs", "main"))
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "snapshots", filepath.Base(strings.TrimSpace(string(commit))))
}
