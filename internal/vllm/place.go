package vllm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// place puts the adapter's files into <dir>/<name>, whole or not at all. It
// reports false if they are there already. The resolver compares the base model's
// name in adapter_config.json with the string root that the server was started
// with, so that is what it holds.
func place(b *bundle.Bundle, dir, name, root string) (placed bool, err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return false, fmt.Errorf("--resolver-dir %s: is no folder: name the one that VLLM_LORA_RESOLVER_CACHE_DIR names at the server", dir)
	}
	target := filepath.Join(dir, name)
	if _, err := os.Lstat(target); err == nil {
		return false, same(b, target, root)
	}
	tmp, err := os.MkdirTemp(dir, "."+name+".tmp-*")
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	err = os.Chmod(tmp, 0o755) // the server may be another user
	for _, f := range adapterFiles(b) {
		if err == nil {
			err = copyFile(b, f, filepath.Join(tmp, fileName(f)), root)
		}
	}
	if err == nil {
		err = syncDir(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, target)
	}
	if err != nil {
		return false, err
	}
	return true, syncDir(dir)
}

func adapterFiles(b *bundle.Bundle) (files []bundle.File) {
	for _, f := range b.Manifest.Files {
		if strings.HasPrefix(f.Path, bundle.AdapterDir+"/") {
			files = append(files, f)
		}
	}
	return files
}

func fileName(f bundle.File) string { return strings.TrimPrefix(f.Path, bundle.AdapterDir+"/") }

// content opens a file of the adapter as the server is to see it, with its
// digest, which the bundle's manifest has unless the file is changed.
func content(b *bundle.Bundle, f bundle.File, root string) (r io.ReadCloser, digest string, err error) {
	name := filepath.Join(b.Dir, filepath.FromSlash(f.Path))
	base, err := b.AdapterBase()
	if err != nil {
		return nil, "", err
	}
	if f.Path != bundle.AdapterConfigFile || base == root {
		r, err = os.Open(name)
		return r, f.SHA256, err
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, "", err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, "", err
	}
	config["base_model_name_or_path"] = root
	if raw, err = json.MarshalIndent(config, "", "  "); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(raw)
	return io.NopCloser(strings.NewReader(string(raw))), hex.EncodeToString(sum[:]), nil
}

func copyFile(b *bundle.Bundle, f bundle.File, to, root string) error {
	in, digest, err := content(b, f, root)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", f.Path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != digest {
		return fmt.Errorf("copy %s: its SHA-256 is %s, %s says %s: the file was changed; restore it", f.Path, got, bundle.ManifestName, digest)
	}
	return nil
}

// same says what differs in a folder that should hold the adapter.
func same(b *bundle.Bundle, dir, root string) error {
	for _, f := range adapterFiles(b) {
		in, want, err := content(b, f, root)
		if err != nil {
			return err
		}
		_ = in.Close()
		there, err := os.Open(filepath.Join(dir, fileName(f)))
		if err != nil {
			return fmt.Errorf("%s: is there and is not whole: %w: take it out with tracegrad bundle undeploy", dir, err)
		}
		h := sha256.New()
		_, err = io.Copy(h, there)
		_ = there.Close()
		if err != nil {
			return err
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			return fmt.Errorf("%s: is there and %s is another: a name is never used twice; find out who wrote it, and take it out with tracegrad bundle undeploy", dir, fileName(f))
		}
	}
	return nil
}

// remove takes a folder away at once: what is being removed has another name.
func remove(dir, name string) error {
	tmp, err := os.MkdirTemp(dir, "."+name+".gone-*")
	if err == nil {
		err = os.Rename(filepath.Join(dir, name), filepath.Join(tmp, name))
	}
	if err = errors.Join(err, os.RemoveAll(tmp)); err != nil {
		return fmt.Errorf("remove %s: %w", filepath.Join(dir, name), err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
