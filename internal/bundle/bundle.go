// Package bundle packs a policy into a directory, reads it back, and applies it
// to a model call.
//
// [Write] is the arrow from a policy to a bundle, [Bundle.Apply] the one from a
// bundle to a request. Between them stand [Open], which never hands out content
// it has not checked against its digest, and [Verify], which checks the whole
// directory. docs/bundle.md specifies the format, with a test vector.
//
// A bundle is immutable: its ID is the digest of its manifest, which holds the
// digests of its files. What moves are labels ([Resolve], [SetLabel]).
//
// The package knows the standard library only. Times are arguments.
package bundle

import (
	"fmt"
	"os"
	"path/filepath"
)

// ManifestName is the file that makes a directory a bundle.
const ManifestName = "bundle.json"

// Bundle is an opened bundle. It is read-only and safe for concurrent use.
type Bundle struct {
	// Dir is the directory it was opened from.
	Dir string
	// Manifest is bundle.json; its ID was recomputed and matches.
	Manifest Manifest
	// Prompt is the learned text; nil if the kind has none.
	Prompt *Prompt

	open string // the section's opening delimiter
}

// ID is the bundle's digest: 64 lower-case hex digits.
func (b *Bundle) ID() string { return b.Manifest.ID }

// ShortID is the first 12 digits of an ID: for people, and for the delimiter in
// prompts, where 64 digits would cost tokens on every call.
func ShortID(id string) string { return id[:min(len(id), 12)] }

// Open reads the bundle in dir: the manifest, whose ID must be its digest, and
// the prompt's files, each checked against its digest while it is read. It does
// not look at other files; [Verify] does.
//
// Every error names the file and what to do.
func Open(dir string) (*Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w: name a directory that holds %s", err, ManifestName)
	}
	defer func() { _ = root.Close() }()

	raw, err := readFile(root, ManifestName, maxManifestBytes)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w: name a directory that holds %s", dir, err, ManifestName)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, ManifestName), err)
	}
	files := Files{}
	for _, f := range m.Files {
		if !isPromptFile(f.Path) {
			continue
		}
		if files[f.Path], err = readDigested(root, f); err != nil {
			return nil, fmt.Errorf("open bundle %s: %w", dir, err)
		}
	}
	return assemble(dir, m, files)
}

// assemble builds the bundle from a checked manifest and its checked files.
func assemble(dir string, m Manifest, files Files) (*Bundle, error) {
	p, err := parsePrompt(m.Kind, files)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", dir, err)
	}
	return &Bundle{Dir: dir, Manifest: m, Prompt: p, open: openingMark(m.ID)}, nil
}
