package vllm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// Options say how an adapter comes to a server.
type Options struct {
	// ResolverDir is the folder that the server's filesystem resolver looks into.
	// Empty: the server is told to load the adapter from the bundle's own folder.
	ResolverDir string
	// BundlesAt is the folder of the bundles as the server sees it. Empty: as here.
	BundlesAt string
	// BaseDir is a folder with the base model's weights or config.json. Empty: it
	// is looked for under the names that the server and the adapter have for it.
	BaseDir string
	// SameBase says that the server's model is the adapter's base, though it has
	// another name.
	SameBase bool
	// MaxRank is the server's --max-lora-rank.
	MaxRank int
	// DryRun checks everything that can be checked without changing the server.
	DryRun bool
}

// Deployment is what became of an adapter.
type Deployment struct {
	Bundle string `json:"bundle"`
	Name   string `json:"name"`           // the model that answers with it
	Server string `json:"server"`         // its URL
	Base   string `json:"base"`           // the server's name for the base model
	Path   string `json:"path,omitempty"` // the adapter's folder, as the server sees it
	// Loaded says that it was loaded now; false = it was there before.
	Loaded bool `json:"loaded"`
	DryRun bool `json:"dry_run,omitempty"`
}

// takeBack bounds how long a deployment that failed is undone.
const takeBack = 30 * time.Second

// Deploy makes a server answer with an adapter. Everything that vLLM would refuse
// late, or accept without a word, is refused before the server sees it. The name
// is the bundle's own, so what is served already is not touched, and what is
// deployed already is done. If the server then does not answer with it, what was
// done is taken back, and the error says why.
func Deploy(ctx context.Context, s *Server, b *bundle.Bundle, o Options) (Deployment, error) {
	d := Deployment{Bundle: b.ID(), Name: b.AdapterName(), Server: s.URL(), DryRun: o.DryRun}
	if b.Manifest.Kind != bundle.KindAdapter {
		return d, fmt.Errorf("deploy %s: is a bundle of kind %q: the gateway applies it; only adapters are deployed", b.Dir, b.Manifest.Kind)
	}
	if err := bundle.Verify(b); err != nil {
		return d, err
	}
	models, err := s.Models(ctx)
	if err != nil {
		return d, err
	}
	base, root, err := findBase(b, models, o)
	if err != nil {
		return d, err
	}
	d.Base = base
	shapes, err := findShapes(b, root, o)
	if err != nil {
		return d, err
	}
	if err := bundle.CheckAdapter(b, o.MaxRank, shapes); err != nil {
		return d, err
	}
	has := slices.ContainsFunc(models, func(m Model) bool { return m.ID == d.Name })
	if o.DryRun {
		d.Loaded = !has
		return d, nil
	}
	return d.put(ctx, s, b, o, root, has)
}

// put brings the adapter to the server and sees that it answers.
func (d Deployment) put(ctx context.Context, s *Server, b *bundle.Bundle, o Options, root string, has bool) (Deployment, error) {
	var err error
	placed := false
	if o.ResolverDir != "" {
		placed, err = place(b, o.ResolverDir, d.Name, root)
		d.Path, d.Loaded = filepath.Join(o.ResolverDir, d.Name), !has
	} else {
		if d.Path, err = bundlePath(b, o); err == nil && !has {
			d.Loaded, err = s.Load(ctx, d.Name, d.Path)
		}
	}
	if err == nil {
		err = serves(ctx, s, d.Name, o.ResolverDir != "")
	}
	if err == nil {
		return d, nil
	}
	// Not what was there before: that may serve somebody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
	defer cancel()
	err = fmt.Errorf("deploy %s: %w", d.Name, err)
	if placed {
		err = errors.Join(err, remove(o.ResolverDir, d.Name))
	}
	if d.Loaded {
		if _, undo := s.Unload(ctx, d.Name); undo != nil && o.ResolverDir == "" {
			err = errors.Join(err, fmt.Errorf("take it back: %w", undo))
		}
	}
	d.Loaded = false
	return d, err
}

func bundlePath(b *bundle.Bundle, o Options) (string, error) {
	if o.BundlesAt != "" {
		return path.Join(o.BundlesAt, filepath.Base(b.Dir), bundle.AdapterDir), nil
	}
	return filepath.Abs(filepath.Join(b.Dir, bundle.AdapterDir))
}

// serves asks the adapter for a token, and looks for it in the server's list.
func serves(ctx context.Context, s *Server, name string, resolved bool) error {
	if err := s.Answers(ctx, name); err != nil {
		if refused, ok := errors.AsType[*Refusal](err); ok && resolved && refused.Status == 404 {
			err = fmt.Errorf("%w\nthe resolver did not find it: start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, VLLM_PLUGINS=lora_filesystem_resolver and VLLM_LORA_RESOLVER_CACHE_DIR set to this folder", err)
		}
		return err
	}
	models, err := s.Models(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(models, func(m Model) bool { return m.ID == name }) {
		return fmt.Errorf("the server answers, and does not list it among its %d models", len(models))
	}
	return nil
}

// Undeploy takes an adapter out of a server, and out of its resolver's folder if
// that is named. It reports false if neither had it.
func Undeploy(ctx context.Context, s *Server, b *bundle.Bundle, resolverDir string) (bool, error) {
	name := b.AdapterName()
	placed := false
	if resolverDir != "" { // first, or the next call loads it again
		_, err := os.Stat(filepath.Join(resolverDir, name))
		if placed = err == nil; placed {
			if err := remove(resolverDir, name); err != nil {
				return false, err
			}
		}
	}
	was, err := s.Unload(ctx, name)
	return was || placed, err
}
