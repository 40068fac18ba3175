package trainer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// Exported is export.json: the adapter of the night, in a folder of the run that
// a server can load it from. From here on nothing needs the engine.
type Exported struct {
	Folder string `json:"folder"` // in the run's directory, named by the files' digest
	Engine About  `json:"engine"`
}

type exported = artifact[Exported, none]

// exportStage fetches the adapter from the engine.
func (n *adapterNight) exportStage(ctx context.Context, u updated) (exported, error) {
	export := func() (exported, error) {
		model, err := n.at(ctx, u.Head.State)
		if err != nil {
			return exported{}, err
		}
		files, err := model.Export(ctx, fmt.Sprintf("%s-adapter-%d", n.ID, n.Starts))
		if err != nil {
			return exported{}, engineTrouble(err)
		}
		for _, needed := range []string{filepath.Base(bundle.AdapterConfigFile), filepath.Base(bundle.AdapterWeightsFile)} {
			if len(files[needed]) == 0 {
				return exported{}, fmt.Errorf("fetch adapter: the engine gave no %s", needed)
			}
		}
		folder := "adapter-" + digestOfFiles(files)[:12]
		if err := writeFolder(filepath.Join(n.dir, folder), files); err != nil {
			return exported{}, fmt.Errorf("write adapter: %w", err)
		}
		return exported{Head: Exported{Folder: folder, Engine: n.server.About()}}, nil
	}
	before, inputs := n.last, []any{n.digestOf("update")}
	out, err := stage(n.run, "export", inputs, export)
	if err != nil || n.exports(out.Head) {
		return out, err
	}
	n.last = before // somebody removed the folder
	n.Stages = slices.DeleteFunc(n.Stages, func(s Stage) bool { return s.Name == "export" })
	return stage(n.run, "export", inputs, export)
}

func (n *adapterNight) exports(e Exported) bool {
	files, err := readFolder(filepath.Join(n.dir, e.Folder))
	return err == nil && e.Folder == "adapter-"+digestOfFiles(files)[:12]
}

func digestOfFiles(files map[string][]byte) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all = append(all, name, digest(files[name]))
	}
	return digestOf(all)
}

// writeFolder replaces a folder whole or not at all.
func writeFolder(dir string, files map[string][]byte) error {
	tmp := dir + ".tmp"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o750)); err != nil {
		return err
	}
	for name, text := range files {
		if name != filepath.Base(name) {
			return fmt.Errorf("%q is not the name of a file", name)
		}
		if err := writeFile(filepath.Join(tmp, name), text); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir), os.Rename(tmp, dir))
}

func readFolder(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// openEngine opens the engine, or, where the adapter is there already, puts it
// off until something asks for it.
func (n *adapterNight) openEngine(ctx context.Context) error {
	for _, s := range n.Stages {
		if s.Name != "export" {
			continue
		}
		if e, err := readArtifact[Exported, none](n.run, s); err == nil && n.exports(e.Head) {
			n.server = n.onDemand(e.Head.Engine)
			return nil
		}
	}
	var err error
	n.server, err = n.engineFor(ctx, n.Config)
	return engineTrouble(err)
}

// rest closes an engine that was started for the night: its memory may be needed
// by the server that the gate asks. Engines of others stay open.
func (n *adapterNight) rest() {
	about := n.server.About()
	if n.Config.Gate.Server == "" || about.URL != "" {
		return
	}
	n.close()
	n.open, n.server = nil, n.onDemand(about)
}

func (n *adapterNight) onDemand(about About) *onDemand {
	return &onDemand{about: about, start: func(ctx context.Context) (Server, error) { return n.engineFor(ctx, n.Config) }}
}

// onDemand is a server that is opened by who first needs more than what it had
// said of itself.
type onDemand struct {
	about  About
	start  func(context.Context) (Server, error)
	server Server // nil = not open
}

func (d *onDemand) About() About { return d.about }

func (d *onDemand) open(ctx context.Context) error {
	if d.server != nil {
		return nil
	}
	var err error
	d.server, err = d.start(ctx)
	return err
}

func (d *onDemand) Open(ctx context.Context, state string) (Trainee, error) {
	if err := d.open(ctx); err != nil {
		return nil, err
	}
	return d.server.Open(ctx, state)
}

// Tokenizer opens the server when something is rendered.
func (d *onDemand) Tokenizer() sequence.Tokenizer { return lateTokenizer{d} }

type lateTokenizer struct{ *onDemand }

func (t lateTokenizer) Render(ctx context.Context, chats []sequence.Chat) ([]sequence.Rendered, error) {
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	tokenizer := t.server.Tokenizer()
	if tokenizer == nil {
		return nil, errors.New("render chats: the engine has no tokenizer")
	}
	return tokenizer.Render(ctx, chats)
}

// Tidy leaves what was saved where the server is not open: the next night does
// it.
func (d *onDemand) Tidy(needed func(run, name string) bool) error {
	if d.server == nil {
		return nil
	}
	return d.server.Tidy(needed)
}

func (d *onDemand) Close() error {
	if d.server == nil {
		return nil
	}
	err := d.server.Close()
	d.server = nil
	return err
}
