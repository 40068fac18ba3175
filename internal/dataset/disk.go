package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// disk is a folder as a [Bucket], for what is the same in both.
type disk struct {
	root              string
	fileMode, dirMode fs.FileMode
}

func (d disk) String() string { return d.root }

func (disk) Close() error { return nil }

func (d disk) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// Put makes a file durably, whole or not at all.
func (d disk) Put(_ context.Context, name string, r io.Reader, _ int64) (err error) {
	final := d.path(name)
	dir := filepath.Dir(final)
	if err := makeDir(dir, d.dirMode); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+filepath.Base(final)+".tmp")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, d.fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return errors.Join(os.Rename(tmp, final), syncDir(dir))
}

func (d disk) Get(_ context.Context, name string, w io.Writer, size int64) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	n, err := io.Copy(w, f)
	if err == nil && n != size {
		err = fmt.Errorf("read %s: %d bytes came instead of %d", name, n, size)
	}
	return errors.Join(err, f.Close())
}

// List leaves out what another process removes meanwhile.
func (d disk) List(_ context.Context, prefix string) (list []Object, err error) {
	err = filepath.WalkDir(d.path(path.Dir(prefix+"x")), func(at string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(d.root, at)
		if err != nil {
			return err
		}
		if name = filepath.ToSlash(name); !strings.HasPrefix(name, prefix) {
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			list = append(list, Object{Name: name, Bytes: info.Size(), Time: info.ModTime()})
		}
		return err
	})
	return list, err
}

func (d disk) Remove(_ context.Context, name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
