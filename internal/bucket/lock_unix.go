//go:build unix

package bucket

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// inUse is a process's hold on a local copy.
type inUse struct {
	f     *os.File
	alone bool // nobody else holds it
}

// take holds dir alone if it can, else with others; while somebody else has it
// alone, to bring it up to date, it waits. File systems without locks let
// everybody pass, and nobody is alone there.
func take(ctx context.Context, dir string) (*inUse, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return &inUse{f: f, alone: true}, nil
		}
		err := flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return &inUse{f: f}, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// share lets others read, too.
func (u *inUse) share() error {
	if !u.alone {
		return nil
	}
	u.alone = false
	return flock(u.f, syscall.LOCK_SH)
}

func (u *inUse) release() error { return u.f.Close() }

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
