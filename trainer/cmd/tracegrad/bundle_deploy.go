package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/vllm"
)

// serverKey is the environment variable with the model server's key, which must
// not stand on a command line.
const serverKey = "TRACEGRAD_SERVER_KEY"

// defaultMaxRank is vLLM's own --max-lora-rank.
const defaultMaxRank = 16

func newBundleDeploy() *cobra.Command {
	var server serverFlags
	var o vllm.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "deploy --vllm URL BUNDLE",
		Short: "Load an adapter into a vLLM server, and see that it answers",
		Long: `Deploy checks an adapter against its base model and the server: what vLLM would
refuse late (DoRA, whole modules, bias, a rank above its maximum, a damaged
file) and what it would load without a word and answer noise (another base
model, weights of another shape, missing modules) is refused before the server
sees it. Then the adapter is loaded under a name and from a path that hold the
bundle's digest and are never used for another one. The server must list it and
answer one token with it; else it is taken back, and the error says why. What
the server serves already is not touched. A deployed adapter is done.

Without --resolver-dir the server loads the adapter from the bundle's folder: it
must see that folder, and run with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True. With it,
the adapter is copied into the folder of the server's filesystem resolver
(VLLM_PLUGINS=lora_filesystem_resolver, VLLM_LORA_RESOLVER_CACHE_DIR).

Deploying serves nobody yet: that is what labels do (tracegrad bundle promote).
The server's key, if it has one, is read from ` + serverKey + `.`,
		Example: "  tracegrad bundle deploy --vllm http://127.0.0.1:8000 bundles/canary\n  tracegrad bundle deploy --vllm http://127.0.0.1:8000 --resolver-dir loras --base models/SmolLM2-135M bundles/4068f0a8",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, ctx, cancel, err := server.open(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			d, err := vllm.Deploy(ctx, s, b, o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), d)
			}
			return printDeployment(cmd.OutOrStdout(), d)
		},
	}
	server.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.ResolverDir, "resolver-dir", "", "copy the adapter into this folder, which the server's resolver looks into")
	f.StringVar(&o.BundlesAt, "bundles-at", "", "the folder of the bundles as the server sees it (default: as here)")
	f.StringVar(&o.BaseDir, "base", "", "folder with the base model's weights or config.json (default: where the server or the bundle says, if that is on this machine)")
	f.BoolVar(&o.SameBase, "same-base", false, "the server's model is the adapter's base under another name")
	f.IntVar(&o.MaxRank, "max-rank", defaultMaxRank, "the server's --max-lora-rank")
	f.BoolVar(&o.DryRun, "dry-run", false, "check everything, load nothing")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printDeployment(out io.Writer, d vllm.Deployment) error {
	did := "was deployed before"
	switch {
	case d.DryRun && d.Loaded:
		did = "would be loaded"
	case d.Loaded:
		did = "is deployed"
	}
	_, err := fmt.Fprintf(out, "%s %s at %s, an adapter of %s\n", d.Name, did, d.Server, d.Base)
	return err
}

func newBundleUndeploy() *cobra.Command {
	var server serverFlags
	var resolverDir string
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "undeploy --vllm URL BUNDLE",
		Short: "Take an adapter out of a vLLM server",
		Long: `Undeploy unloads an adapter, and removes its copy from the resolver's folder if
that is named. One that a label names is refused: move the label first. An
adapter that is not there is done.`,
		Example: "  tracegrad bundle undeploy --vllm http://127.0.0.1:8000 bundles/4068f0a8",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, ctx, cancel, err := server.open(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			b, err := openBundle(args[0])
			if err != nil {
				return err
			}
			labels, err := labelsOf(b)
			if err != nil {
				return err
			}
			if len(labels) > 0 && !force {
				return fmt.Errorf("undeploy %s: the label %s names it, so calls are sent to it: move the label first, or insist with --force", b.AdapterName(), labels)
			}
			was, err := vllm.Undeploy(ctx, s, b, resolverDir)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"bundle": b.ID(), "name": b.AdapterName(), "server": s.URL(), "unloaded": was})
			}
			did := map[bool]string{true: "is no longer", false: "was not"}[was]
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s at %s\n", b.AdapterName(), did, s.URL())
			return err
		},
	}
	server.add(cmd)
	cmd.Flags().StringVar(&resolverDir, "resolver-dir", "", "remove the adapter's copy from this folder, too")
	cmd.Flags().BoolVar(&force, "force", false, "even if a label names it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// labelsOf are the labels that name a bundle among its siblings.
func labelsOf(b *bundle.Bundle) ([]string, error) {
	all, err := bundle.Labels(filepath.Dir(b.Dir))
	var names []string
	for name, id := range all {
		if id == b.ID() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// serverFlags are those of every command that speaks to a vLLM server.
type serverFlags struct {
	url     string
	timeout time.Duration
}

func (f *serverFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "vllm", "", "URL of the vLLM server, such as http://127.0.0.1:8000")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this time")
}

func (f *serverFlags) open(ctx context.Context) (*vllm.Server, context.Context, context.CancelFunc, error) {
	if f.url == "" {
		return nil, nil, nil, usageError{errors.New("--vllm is missing: name the server, such as http://127.0.0.1:8000")}
	}
	s, err := vllm.New(f.url, os.Getenv(serverKey), &http.Client{})
	if err != nil {
		return nil, nil, nil, usageError{fmt.Errorf("--vllm: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	return s, ctx, cancel, nil
}
