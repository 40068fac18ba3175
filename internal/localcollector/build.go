package localcollector

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Build builds the Collector of this module at path, as the Makefile does. It
// must run within the module: it is for tests that need it on its own.
func Build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", path, "github.com/tracegrad/tracegrad/distro")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Collector: %w: %s", err, out)
	}
	return nil
}
