package worker

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// hostPython is a Python that can make virtual environments.
type hostPython struct {
	path    string
	version string // 3.11.9
}

// The oldest Python that the lock has packages for.
const oldestPython = "3.11"

var pythons = []string{"python3", "python3.14", "python3.13", "python3.12", "python3.11"}

// find is the named Python, or the first on the path that will do.
func find(ctx context.Context, named string) (hostPython, error) {
	names := pythons
	if named != "" {
		names = []string{named}
	}
	var seen []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		version, fault := ask(ctx, path)
		if fault == "" {
			return hostPython{path, version}, nil
		}
		seen = append(seen, path+": "+fault)
	}
	if err := ctx.Err(); err != nil {
		return hostPython{}, err
	}
	found := "none was found"
	if len(seen) > 0 {
		found = strings.Join(seen, "; ")
	}
	return hostPython{}, fmt.Errorf("a Python %s to 3.14 with the module venv is needed (%s): install one (Debian: python3 and python3-venv), or run an engine elsewhere and name it with --engine", oldestPython, found)
}

// ask is the version of a Python, and why it will not do.
func ask(ctx context.Context, path string) (version, fault string) {
	const script = `import sys
print("%d.%d.%d" % sys.version_info[:3])
if not (3, 11) <= sys.version_info[:2] <= (3, 14): sys.exit("version " + sys.version.split()[0])
try:
    import venv, ensurepip
except ImportError as e: sys.exit(str(e))`
	cmd := exec.CommandContext(ctx, path, "-I", "-c", script)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		return "", cmp.Or(strings.TrimSpace(lines[len(lines)-1]), err.Error())
	}
	return strings.TrimSpace(string(out)), ""
}
