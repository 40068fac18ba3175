package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strings"
	"time"
)

// Version is the format version that this package writes. It reads no other.
const Version = 1

// Kind says what a bundle holds. A reader that does not know a kind can still
// verify and list the bundle; it just has nothing to apply.
type Kind string

// KindPrompt is learned text that is added to requests.
const KindPrompt Kind = "prompt"

// Status says whether the gate let the bundle pass.
type Status string

// The statuses.
const (
	StatusReleased  Status = "released"  // the gate passed
	StatusCandidate Status = "candidate" // not (yet): for inspection, canaries and shows
)

// Manifest is bundle.json. Fields this version does not know are kept out of
// the struct but are covered by the ID.
type Manifest struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"` // set by [Write]; see docs/bundle.md for how it is computed
	Kind      Kind      `json:"kind"`
	Name      string    `json:"name"`
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"created_at"` // UTC, whole seconds
	// BaseModel restricts the bundle to requests that ask for exactly this
	// model. Empty = any.
	BaseModel string `json:"base_model,omitempty"`
	// Agents restricts the bundle to these agent or service names. Empty = all.
	Agents     []string   `json:"agents,omitempty"`
	Provenance Provenance `json:"provenance"`
	Gate       Gate       `json:"gate"`
	Files      []File     `json:"files"` // sorted by path; set by [Write]
}

// Provenance says what a bundle was learned from. Hashes are in whatever form
// the producer uses; empty = unknown.
type Provenance struct {
	Dataset string `json:"dataset,omitempty"` // hash of the rows read
	SQL     string `json:"sql,omitempty"`     // hash of the selecting and grouping SQL
	Rewards string `json:"rewards,omitempty"` // hash of the reward rules
	Run     string `json:"run,omitempty"`     // run id
	Parent  string `json:"parent,omitempty"`  // bundle id of the policy it started from
}

// Gate is what the gate saw. Missing numbers are nil, never zero.
type Gate struct {
	Passed   bool     `json:"passed"`
	Metric   string   `json:"metric,omitempty"`   // what Estimate estimates, in words
	Estimate *float64 `json:"estimate,omitempty"` // effect on the metric
	CILow    *float64 `json:"ci_low,omitempty"`
	CIHigh   *float64 `json:"ci_high,omitempty"`
	Support  int      `json:"support"` // comparisons the estimate rests on
	Holdout  int      `json:"holdout"` // trajectories in the holdout
	Reason   string   `json:"reason,omitempty"`

	// Of an adapter.
	BaseMean      *float64 `json:"base_mean,omitempty"`      // mean return of the policy it started from
	CandidateMean *float64 `json:"candidate_mean,omitempty"` // and of the adapter, on the same prompts
	OffPolicy     *float64 `json:"off_policy,omitempty"`     // the gain by importance weights on logged attempts; decides nothing
	ESS           *float64 `json:"ess,omitempty"`            // attempts that OffPolicy rests on
}

// File is one file of a bundle other than the manifest.
type File struct {
	Path   string `json:"path"`   // relative, with slashes
	SHA256 string `json:"sha256"` // lower-case hex
	Size   int64  `json:"size"`   // bytes
}

const (
	maxManifestBytes = 1 << 20
	maxFiles         = 1024
	maxPromptBytes   = 16 << 20 // per file of a prompt bundle
	maxNameBytes     = 200
)

var (
	hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
	pathChars = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)
)

// parseManifest reads bundle.json and checks that its ID is its digest.
func parseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return m, fmt.Errorf("not a manifest: %w: restore the file from where the bundle came from", err)
	}
	if version.Version != Version {
		return m, fmt.Errorf("version: is %d and this build reads %d: upgrade tracegrad or rebuild the bundle", version.Version, Version)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("not a manifest: %w: restore the file from where the bundle came from", err)
	}
	want, err := digestManifest(raw)
	if err != nil {
		return m, err
	}
	if m.ID != want {
		return m, fmt.Errorf("id: is %q but the manifest's digest is %s: the manifest was changed after it was written; restore it", m.ID, want)
	}
	return m, m.validate()
}

// validate checks what does not need the files' content.
func (m *Manifest) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if m.Kind == "" {
		fail(`kind: is empty: set "prompt"`)
	}
	if strings.TrimSpace(m.Name) == "" || len(m.Name) > maxNameBytes {
		fail("name: must have 1 to %d bytes", maxNameBytes)
	}
	if m.CreatedAt.IsZero() {
		fail("created_at: is missing: set the time of the run")
	}
	switch m.Status {
	case StatusCandidate:
	case StatusReleased:
		if !m.Gate.Passed {
			fail(`status: is "released" but gate.passed is false: only a passed gate releases`)
		}
	default:
		fail(`status: is %q: use "released" or "candidate"`, m.Status)
	}
	for i, a := range m.Agents {
		if strings.TrimSpace(a) == "" {
			fail("agents[%d]: is empty: name an agent or remove the entry", i)
		}
	}
	errs = append(errs, m.Gate.validate(), m.validateFiles(), m.checkAdapter())
	return errors.Join(errs...)
}

func (g *Gate) validate() error {
	for name, v := range map[string]*float64{"estimate": g.Estimate, "ci_low": g.CILow, "ci_high": g.CIHigh,
		"base_mean": g.BaseMean, "candidate_mean": g.CandidateMean, "off_policy": g.OffPolicy, "ess": g.ESS} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			return fmt.Errorf("gate.%s: is not a number: leave it out when it is unknown", name)
		}
	}
	return nil
}

func (m *Manifest) validateFiles() error {
	if len(m.Files) > maxFiles {
		return fmt.Errorf("files: has %d entries, at most %d are allowed", len(m.Files), maxFiles)
	}
	prev := ""
	for i, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return fmt.Errorf("files[%d].path: %w", i, err)
		}
		if f.Path <= prev {
			return fmt.Errorf("files[%d].path: %q must come after %q: paths are sorted and unique", i, f.Path, prev)
		}
		prev = f.Path
		if !hexDigest.MatchString(f.SHA256) {
			return fmt.Errorf("files[%d].sha256: %s: is not a SHA-256 in lower-case hex", i, f.Path)
		}
		if f.Size < 0 || (m.Kind == KindPrompt && f.Size > maxPromptBytes) {
			return fmt.Errorf("files[%d].size: %s: is %d bytes, a %s bundle allows 0 to %d", i, f.Path, f.Size, m.Kind, maxPromptBytes)
		}
	}
	return nil
}

// checkPath refuses every path that could leave the bundle's directory or mean
// different files on different systems.
func checkPath(p string) error {
	switch {
	case !fs.ValidPath(p) || p == ".":
		return fmt.Errorf("%q must be relative, with slashes, and stay inside the bundle", p)
	case !pathChars.MatchString(p):
		return fmt.Errorf("%q may hold only letters, digits, and ._-/", p)
	case strings.EqualFold(p, ManifestName):
		return fmt.Errorf("%q is the manifest itself", p)
	}
	return nil
}
