package rewards

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// Caps on what is loaded. They bound the work of a rule, see limits.go.
const (
	MaxFileBytes = 256 << 10 // of the rewards file
	MaxRules     = 64        // in the file
	MaxExprBytes = 4 << 10   // of one expr or when
	MaxNodes     = 300       // in the syntax tree of one expr or when
)

// Level says what one value of a rule is about.
type Level string

// The two levels.
const (
	LevelTrajectory Level = "trajectory" // one value per trajectory for which `when` is true
	LevelStep       Level = "step"       // one value per step for which `when` is true
)

// Missing says what a null means.
type Missing string

// The policies for nulls.
const (
	MissingMask   Missing = "mask"   // the trajectory is not trained on
	MissingSkip   Missing = "skip"   // the rule does not count for this trajectory or step
	MissingNumber Missing = "number" // Rule.Substitute stands for it
)

// Rule is one rule as it is in force, defaults filled in.
type Rule struct {
	Name        string
	Level       Level
	Expr        string
	When        string // "" = every trajectory or step
	Weight      float64
	Missing     Missing
	Scale       *[2]float64 // what becomes 0 and what 1; nil = the value is as it is
	Clip        *[2]float64 // lowest and highest value, after Scale; nil = no bounds
	Substitute  float64     // the number, where Missing is MissingNumber
	Hash        string      // of everything that decides its values: not of weight, mask and skip
	Provisional bool        // reads feedback or evaluations, which may come later
	Gives       string      // inferred type of Expr: bool, int, float, …; "any value" is known at run time only
}

// Engine holds compiled rules. It is immutable and safe for concurrent use.
type Engine struct {
	hash     string
	rules    []*rule
	examples []Example
	uses     uses // of all rules together
	pool     sync.Pool
}

// Load reads and compiles a rewards file. The error holds every problem of the
// file, each with file:line:column, the key and what to do about it.
func Load(path string) (*Engine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read rewards: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read rewards: %w", err)
	}
	return Parse(path, src)
}

// Parse compiles the bytes of a rewards file; name is what errors call it.
func Parse(name string, src []byte) (*Engine, error) {
	d := &document{name: name, src: src}
	rules := d.rules()
	e := &Engine{examples: d.examples}
	for _, r := range rules {
		if d.compile(r) {
			e.rules = append(e.rules, r)
			e.uses |= r.uses
		}
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(src)
	e.hash = hex.EncodeToString(sum[:])
	e.pool.New = func() any { return new(state) }
	return e, nil
}

// Hash is the SHA-256 of the file's bytes in hex: what runs and bundles record
// as the rewards they were made with.
func (e *Engine) Hash() string { return e.hash }

// Rules lists the rules in the file's order. The caller owns the slice.
func (e *Engine) Rules() []Rule {
	out := make([]Rule, len(e.rules))
	for i, r := range e.rules {
		out[i] = r.Rule
	}
	return slices.Clip(out)
}

// semantics is hashed into every rule: it rises when a value of an unchanged
// rule may change, so that stored values of the old meaning are not picked.
const semantics = "tracegrad rewards v1"

// seal computes the hash of a rule. Every part is preceded by its length:
// no two rules give the same bytes.
func (r *Rule) seal() {
	substitute := ""
	if r.Missing == MissingNumber {
		substitute = fmt.Sprintf("%g", r.Substitute)
	}
	h := sha256.New()
	parts := []string{semantics, r.Name, string(r.Level), r.When, r.Expr, substitute}
	for _, key := range []struct { // only where they are set: hashes of rules without them stay
		name  string
		value *[2]float64
	}{{"scale", r.Scale}, {"clip", r.Clip}} {
		if key.value != nil {
			parts = append(parts, fmt.Sprintf("%s %g %g", key.name, key.value[0], key.value[1]))
		}
	}
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	r.Hash = hex.EncodeToString(h.Sum(nil)[:8])
}
