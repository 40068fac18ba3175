package trainer

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/vllm"
	"github.com/tracegrad/tracegrad/trainer/reroll"
)

// gateServer is the server that the gate asks, with both policies on it.
type gateServer struct {
	client          *reroll.Client
	vllm            *vllm.Server
	base, candidate string   // as it knows them
	loaded          []string // adapters that the gate put there
}

// loadTimeout bounds what the server takes to load an adapter.
const loadTimeout = 5 * time.Minute

// gateServer makes sure that both policies are served.
func (n *adapterNight) gateServer(ctx context.Context, folder string) (*gateServer, error) {
	client, err := reroll.NewClient(n.Config.Gate.Server)
	if err != nil {
		return nil, err
	}
	client.Key = os.Getenv(ServerKeyVariable)
	s := &gateServer{client: client}
	if s.vllm, err = vllm.New(n.Config.Gate.Server, client.Key, &http.Client{Timeout: loadTimeout}); err != nil {
		return nil, err
	}
	models, err := s.vllm.Models(ctx)
	if err != nil {
		return nil, err
	}
	if s.base, err = n.servedBase(models); err != nil {
		return nil, err
	}
	if n.base != nil {
		if s.base, err = s.serve(ctx, models, n.base.ID()[:12], filepath.Join(n.base.Dir, bundle.AdapterDir)); err != nil {
			return nil, err
		}
	}
	s.candidate, err = s.serve(ctx, models, strings.TrimPrefix(folder, "adapter-"), filepath.Join(n.dir, folder))
	if err != nil {
		s.unload()
		return nil, err
	}
	return s, nil
}

// servedBase is the base model's name on the server.
func (n *adapterNight) servedBase(models []vllm.Model) (string, error) {
	c := n.Config
	var names, whole []string
	for _, m := range models {
		names = append(names, m.ID)
		if m.Parent == "" {
			whole = append(whole, m.ID)
		}
	}
	wanted := []string{c.Gate.Model}
	if c.Gate.Model == "" {
		wanted = []string{c.Adapter.BaseModel, path.Base(strings.ReplaceAll(c.Adapter.BaseModel, `\`, "/"))}
	}
	for _, name := range wanted {
		if slices.Contains(names, name) {
			return name, nil
		}
	}
	if c.Gate.Model == "" && len(whole) == 1 {
		for _, m := range models {
			if m.ID == whole[0] && (m.Root == c.Adapter.BaseModel || path.Base(m.Root) == wanted[1]) {
				return m.ID, nil
			}
		}
	}
	return "", fmt.Errorf("%s does not serve %s, it serves %s: name the base model as the server knows it with gate.model", c.Gate.Server, wanted[0], strings.Join(names, ", "))
}

// gateName is what the gate calls an adapter that nobody serves. Servers keep
// what they computed by name and path: a name is never used for other weights.
func gateName(id string) string { return "tracegrad-gate-" + id }

// serve gives the name of the adapter whose name ends in id, and loads it if the
// server does not have it.
func (s *gateServer) serve(ctx context.Context, models []vllm.Model, id, dir string) (string, error) {
	for _, m := range models {
		if strings.HasSuffix(m.ID, "-"+id) {
			return m.ID, nil
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	name := gateName(id)
	if _, err = s.vllm.Load(ctx, name, dir); err != nil {
		return "", fmt.Errorf("%w: vLLM needs --enable-lora, a --max-lora-rank that fits and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and must see %s; or serve that folder as %s", err, dir, name)
	}
	s.loaded = append(s.loaded, name)
	return name, nil
}

// unload takes off the server what the gate put there. What goes wrong costs a
// place on the server, no more.
func (s *gateServer) unload() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, name := range s.loaded {
		_, _ = s.vllm.Unload(ctx, name)
	}
}
