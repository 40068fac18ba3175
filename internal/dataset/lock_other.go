//go:build !unix

package dataset

import "os"

// lockFile does nothing: there is no portable lock. Names of writers must
// differ by configuration.
func lockFile(*os.File) error { return nil }
