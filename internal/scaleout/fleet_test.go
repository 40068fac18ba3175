package scaleout

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

const examples = "../../examples"

// built is the folder of what the tests build.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tracegrad-scaleout-")
	if err != nil {
		panic(err)
	}
	built = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// collector is the built Collector, for all tests once.
var collector = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(built, "tracegrad-collector")
	return path, localcollector.Build(context.Background(), path)
})

// system is what a target of the Makefile installed.
func system(t *testing.T, name string) string {
	cache := os.Getenv("TRACEGRAD_TEST_SYSTEMS")
	if cache == "" {
		t.Skip("needs " + name + ": make test-systems")
	}
	return filepath.Join(cache, name)
}

// fleet is Collectors that write one dataset.
type fleet struct {
	t       *testing.T
	dataset string
	options []localcollector.Options
	members []*localcollector.Collector
}

// start starts Collectors of a shipped configuration, each with a name and a
// store of its own.
func start(t *testing.T, size int, config string, env map[string]string, args ...string) *fleet {
	t.Helper()
	binary, err := collector()
	require.NoError(t, err)
	root, ports := t.TempDir(), new(localcollector.Ports)
	f := &fleet{t: t, dataset: filepath.Join(root, "dataset"), options: make([]localcollector.Options, size), members: make([]*localcollector.Collector, size)}
	for i := range size {
		name := fmt.Sprintf("writer-%d", i+1)
		of := map[string]string{
			"TRACEGRAD_DATA": f.dataset, "TRACEGRAD_STORE": filepath.Join(root, name), "TRACEGRAD_WRITER": name,
			"TRACEGRAD_REWARDS":    filepath.Join(examples, "quickstart/rewards.yaml"),
			"TRACEGRAD_ROOT_GRACE": "2s", "TRACEGRAD_IDLE": "6s", "TRACEGRAD_FLUSH": "500ms",
		}
		maps.Copy(of, env)
		f.options[i] = localcollector.Options{
			Binary: binary, Config: filepath.Join(examples, config), Ports: ports, Env: of, Log: filepath.Join(root, name+".log"),
			Args: append([]string{"--set=exporters::parquet::writer=" + name, "--set=processors::trajectory::writer=" + name}, args...),
		}
		f.run(i)
	}
	t.Cleanup(f.stop)
	return f
}

func (f *fleet) run(i int) {
	f.t.Helper()
	c, err := localcollector.Start(context.Background(), f.options[i])
	require.NoError(f.t, err)
	f.members[i] = c
}

// restart kills a Collector and starts it again where it listened.
func (f *fleet) restart(i int, addresses ...string) {
	f.t.Helper()
	for _, name := range addresses {
		f.options[i].Env[name] = f.members[i].Address(name)
	}
	f.members[i].Kill()
	f.run(i)
}

func (f *fleet) stop() {
	for _, c := range f.members {
		if c != nil {
			require.NoError(f.t, c.Stop())
		}
	}
}

// settle waits until every Collector has committed what it holds.
func (f *fleet) settle() {
	f.t.Helper()
	for _, c := range f.members {
		_, err := c.Settle(context.Background())
		require.NoError(f.t, err)
	}
}

func (f *fleet) addresses(name string) string {
	var all []string
	for _, c := range f.members {
		all = append(all, c.Address(name))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// balance starts a balancer in front of the Collectors.
func (f *fleet) balance(config string) *localcollector.Collector {
	f.t.Helper()
	c, err := localcollector.Start(context.Background(), localcollector.Options{
		Binary: system(f.t, "balancer"), Config: filepath.Join(examples, "scaleout", config),
		Env: map[string]string{"TRACEGRAD_COLLECTORS": f.addresses(localcollector.OTLPGRPC)},
		Log: filepath.Join(f.t.TempDir(), "balancer.log"),
	})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, c.Stop()) })
	return c
}

const deadline = 2 * time.Minute
