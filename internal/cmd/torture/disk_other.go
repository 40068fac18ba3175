//go:build !linux

package main

import "errors"

var errNoMounts = errors.New("file systems of our own need Linux")

func enter() (ran bool, err error) { return false, errNoMounts }

func smallDisk(string) (unmount func() error, err error) { return nil, errNoMounts }

func protect(string) (heal func() error, err error) { return nil, errNoMounts }

func fill(string) (heal func() error, err error) { return nil, errNoMounts }
