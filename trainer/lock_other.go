//go:build !unix

package trainer

import (
	"errors"
	"io/fs"
	"os"
)

var errLocked = errors.New("another run is going on (or one was killed: then remove the lock file)")

// lockFile takes the file by making it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLocked
	}
	return f, err
}

func unlockFile(f *os.File) error { return errors.Join(f.Close(), os.Remove(f.Name())) }
