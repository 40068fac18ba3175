package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const (
	insideVariable = "TRACEGRAD_TORTURE_INSIDE"
	smallDiskBytes = 256 << 20
)

// enter runs this program again where it may mount: in a user and mount
// namespace of its own, which needs no privilege. It returns
// at once in that process; in this one when that one has ended, with ran.
func enter() (ran bool, err error) {
	if os.Getenv(insideVariable) != "" {
		return false, nil
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("make a mount namespace: %w", err)
	}
	return true, cmd.Wait()
}

// smallDisk mounts a file system in memory at dir.
func smallDisk(dir string) (unmount func() error, err error) {
	if err := syscall.Mount("torture", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallDiskBytes)); err != nil {
		return nil, fmt.Errorf("mount a small disk at %s: %w", dir, err)
	}
	return func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}

// protect makes a folder read-only for whoever opens something in it by its
// path from now on.
func protect(dir string) (heal func() error, err error) {
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("bind %s: %w", dir, err)
	}
	heal = func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		return nil, errors.Join(fmt.Errorf("make %s read-only: %w", dir, err), heal())
	}
	return heal, nil
}

// fill takes all that is free on the disk of dir.
func fill(dir string) (heal func() error, err error) {
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	heal = func() error { return os.Remove(path) }
	for chunk := bytes.Repeat([]byte{1}, 1<<20); len(chunk) > 0; {
		switch _, err := f.Write(chunk); {
		case errors.Is(err, syscall.ENOSPC):
			chunk = chunk[:len(chunk)/2]
		case err != nil:
			return nil, errors.Join(err, heal())
		}
	}
	return heal, nil
}
