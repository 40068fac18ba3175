//go:build unix

package dataset

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes f for this process until it is closed. File systems without
// locks (some network mounts) let everybody pass.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	return nil
}
