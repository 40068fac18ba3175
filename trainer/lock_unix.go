//go:build unix

package trainer

import (
	"errors"
	"os"
	"syscall"
)

var errLocked = errors.New("another run is going on")

// lockFile takes the file for this process until it is closed, even if the
// process is killed.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		_ = f.Close()
		return nil, errLocked
	}
	return f, nil
}

func unlockFile(f *os.File) error { return f.Close() }
