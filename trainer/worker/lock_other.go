//go:build !unix

package worker

import "context"

// lockFile does nothing: torch is not provisioned on such systems.
func lockFile(context.Context, string) (unlock func(), err error) { return func() {}, nil }
