package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

func newBundleList() *cobra.Command {
	var server serverFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list BUNDLES",
		Short: "List the bundles in a folder, the newest first",
		Long: `List shows the bundles in a folder with what the gate said, the labels that name
them and, with --vllm, whether that server has the adapter. A bundle that cannot
be opened, and a label that names none, is listed with what is wrong.`,
		Example: "  tracegrad bundle list bundles\n  tracegrad bundle list --vllm http://127.0.0.1:8000 bundles",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := listBundles(args[0])
			if err != nil {
				return err
			}
			if server.url != "" {
				s, ctx, cancel, err := server.open(cmd.Context())
				if err != nil {
					return err
				}
				defer cancel()
				models, err := s.Models(ctx)
				if err != nil {
					return err
				}
				served := map[string]bool{}
				for _, m := range models {
					served[m.ID] = true
				}
				for i := range list {
					if list[i].Adapter != "" {
						has := served[list[i].Adapter]
						list[i].Deployed = &has
					}
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printBundles(cmd.OutOrStdout(), list)
		},
	}
	server.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listed is one bundle of a folder, or a label that names none.
type listed struct {
	ID       string       `json:"id"`
	Kind     bundle.Kind  `json:"kind,omitempty"`
	Name     string       `json:"name,omitempty"`
	Base     string       `json:"base,omitempty"`
	Adapter  string       `json:"adapter,omitempty"` // its name at a server
	Created  *time.Time   `json:"created,omitempty"`
	Gate     *bundle.Gate `json:"gate,omitempty"`
	Labels   []string     `json:"labels,omitempty"`
	Deployed *bool        `json:"deployed,omitempty"` // absent = not asked, or no adapter
	Error    string       `json:"error,omitempty"`
}

func listBundles(root string) ([]listed, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("list bundles: %w: name the folder that holds bundles", err)
	}
	labels, err := bundle.Labels(root)
	if err != nil {
		return nil, err
	}
	named := map[string][]string{}
	for label, id := range labels {
		named[id] = append(named[id], label)
	}
	list := []listed{}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(root, e.Name(), bundle.ManifestName)); err != nil || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		list = append(list, listOne(root, e.Name()))
		l := &list[len(list)-1]
		l.Labels = slices.Sorted(slices.Values(named[l.ID]))
		delete(named, l.ID)
	}
	for id, of := range named {
		why := "no such bundle: put it there, or move the label"
		if id == "" {
			why = "the label holds no id: set it again"
		}
		list = append(list, listed{ID: id, Labels: slices.Sorted(slices.Values(of)), Error: why})
	}
	slices.SortFunc(list, func(a, b listed) int {
		if a.Created == nil || b.Created == nil || a.Created.Equal(*b.Created) {
			if (a.Created == nil) != (b.Created == nil) {
				return map[bool]int{true: 1, false: -1}[a.Created == nil]
			}
			return strings.Compare(a.ID, b.ID)
		}
		return b.Created.Compare(*a.Created)
	})
	return list, nil
}

func listOne(root, name string) listed {
	b, err := bundle.Open(filepath.Join(root, name))
	if err != nil {
		return listed{ID: name, Error: err.Error()}
	}
	m := b.Manifest
	l := listed{ID: m.ID, Kind: m.Kind, Name: m.Name, Base: m.BaseModel, Created: &m.CreatedAt, Gate: &m.Gate}
	if m.Kind == bundle.KindAdapter {
		l.Adapter = b.AdapterName()
	}
	return l
}

func printBundles(out io.Writer, list []listed) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no bundles")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tNAME\tBASE\tCREATED\tGATE\tLABELS\tDEPLOYED")
	for _, l := range list {
		if l.Error != "" {
			fmt.Fprintf(w, "%s\t\t\t\t\t\t%s\t%s\n", dash(bundle.ShortID(l.ID)), dash(strings.Join(l.Labels, ",")), l.Error)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", bundle.ShortID(l.ID), l.Kind, l.Name, orAny(l.Base), l.Created.Format(time.RFC3339),
			shortGate(*l.Gate), dash(strings.Join(l.Labels, ",")), deployed(l.Deployed))
	}
	return w.Flush()
}

func shortGate(g bundle.Gate) string {
	verdict := map[bool]string{true: "passed", false: "not passed"}[g.Passed]
	if g.Estimate != nil {
		verdict += fmt.Sprintf(" %+.3f", *g.Estimate)
	}
	return verdict
}

func deployed(d *bool) string {
	if d == nil {
		return "-"
	}
	return map[bool]string{true: "yes", false: "no"}[*d]
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
