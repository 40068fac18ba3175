package repotest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	code      = regexp.MustCompile("(?s)```.*?\n(.*?)```|`([^`\n]+)`")
	repoPath  = regexp.MustCompile(`^(receiver|processor|exporter|trainer|rewards|internal|distro|docs|examples|testdata|\.ci|\.github)(/[A-Za-z0-9_.-]+)*/?$`)
	makeCall  = regexp.MustCompile(`(?:^|[\s$])make ([a-z][a-z0-9-]*)`)
	toolCall  = regexp.MustCompile(`(?m)(?:^|\$ |^ +|\| )(?:bin/)?tracegrad((?: +[^\s|>#;&]+| +'[^']*'| +"[^"]*")*)`)
	longFlag  = regexp.MustCompile(`(?:^|\s)(--[a-z][a-z-]*)`)
	quoted    = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	heading   = regexp.MustCompile(`(?m)^## (tracegrad[a-z ]*)$`)
	makeEntry = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

func docs(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range tracked(t) {
		if path.Ext(f) == ".md" && !strings.Contains(f, "testdata/") {
			all = append(all, f)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// TestDocsLinksLeadSomewhere: every relative link names a file or a folder.
func TestDocsLinksLeadSomewhere(t *testing.T) {
	for _, doc := range docs(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue
			}
			_, err := os.Stat(filepath.Join(root, filepath.Dir(doc), filepath.FromSlash(target)))
			assert.NoError(t, err, "%s links to %s", doc, target)
		}
	}
}

// TestDocsNameWhatExists: every path of the repository, every make target and
// every command line of tracegrad in the docs' code.
func TestDocsNameWhatExists(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range makeEntry.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	commands := parseReference(t)
	for _, doc := range docs(t) {
		for _, snippet := range codeOf(read(t, doc)) {
			for word := range strings.FieldsSeq(snippet) {
				if word = strings.Trim(word, `'",;:()`); repoPath.MatchString(word) {
					_, err := os.Stat(filepath.Join(root, filepath.FromSlash(word)))
					assert.NoError(t, err, "%s names %s", doc, word)
				}
			}
			for _, m := range makeCall.FindAllStringSubmatch(snippet, -1) {
				assert.True(t, targets[m[1]], "%s: make %s", doc, m[1])
			}
			for _, m := range toolCall.FindAllStringSubmatch(snippet, -1) {
				assert.NoError(t, commands.check(m[1]), "%s: tracegrad%s", doc, m[1])
			}
		}
	}
}

// codeOf is the fenced blocks and the code spans of a document.
func codeOf(text string) []string {
	var all []string
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(m[1]+m[2], "\\\n", " "))
	}
	return all
}

// cliReference is docs/cli.md: the section of each command, by its path. A
// test of the commands keeps the file fresh.
type cliReference map[string]string

func parseReference(t *testing.T) cliReference {
	t.Helper()
	text := read(t, "docs/cli.md")
	at := heading.FindAllStringSubmatchIndex(text, -1)
	require.NotEmpty(t, at)
	ref := cliReference{}
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		ref[text[m[2]:m[3]]] = text[m[1]:end]
	}
	return ref
}

// check finds the command that args call and its flags.
func (r cliReference) check(args string) error {
	words := strings.Fields(quoted.ReplaceAllString(args, "x"))
	name := "tracegrad"
	for len(words) > 0 && r[name+" "+words[0]] != "" {
		name += " " + words[0]
		words = words[1:]
	}
	if name == "tracegrad" && len(words) > 0 && !strings.HasPrefix(words[0], "-") && !slices.Contains([]string{"completion", "help", "[flags]", "…"}, words[0]) {
		return fmt.Errorf("docs/cli.md has no tracegrad %s", words[0])
	}
	for _, m := range longFlag.FindAllStringSubmatch(" "+strings.Join(words, " "), -1) {
		if m[1] != "--help" && m[1] != "--version" && !regexp.MustCompile(`(?m)^\s+(-\w, )?`+m[1]+`\b`).MatchString(r[name]) {
			return fmt.Errorf("docs/cli.md has no %s under %s", m[1], name)
		}
	}
	return nil
}

func TestReferenceCheckBites(t *testing.T) {
	r := parseReference(t)
	assert.NoError(t, r.check(" replay --shuffle 1 x.jsonl"))
	assert.NoError(t, r.check(" bundle inspect bundles/production"))
	assert.Error(t, r.check(" replai x"))
	assert.Error(t, r.check(" replay --shufle 1"))
}
