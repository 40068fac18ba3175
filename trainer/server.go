package trainer

import (
	"context"

	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// Server is an engine that a night trains on: our worker, or a server of the
// Tinker training protocol.
type Server interface {
	About() About
	Tokenizer() sequence.Tokenizer // nil = it renders nothing: only captured ids are trained on
	// Open gives a model: fresh, which answers as the base model does until its
	// first step, or as a saved state left it.
	Open(ctx context.Context, state string) (Trainee, error)
	// Tidy removes what was saved for runs, but for what is needed: states by the
	// run that saved them and by their names.
	Tidy(needed func(run, name string) bool) error
	Close() error
}

// Trainee is an adapter in training.
type Trainee interface {
	update.Model
	// Export writes the adapter in PEFT's layout and returns its files by name.
	Export(ctx context.Context, name string) (map[string][]byte, error)
	Close(ctx context.Context) error
}

// EngineFor opens the engine of a night.
type EngineFor func(ctx context.Context, c Config) (Server, error)

// About is what a server says of itself.
type About struct {
	Server      string `json:"server"`                // name and version
	URL         string `json:"url,omitempty"`         // "" = our worker
	BaseModel   string `json:"base_model"`            //
	Vocabulary  int    `json:"vocabulary"`            // 0 = it does not say
	Context     int    `json:"context,omitempty"`     // tokens of a row that it takes; 0 = it does not say
	Tokenizer   string `json:"tokenizer,omitempty"`   // SHA-256; "" = it does not say
	Fingerprint string `json:"fingerprint,omitempty"` // of the base model; "" = it does not say
	Folder      string `json:"-"`                     // of the base model, where it is on this machine
}
