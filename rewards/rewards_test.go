package rewards

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata and docs")

const now = 1_800_000_000_000_000

// TestScore runs testdata/score: rewards.yaml and trajectory.yaml (and
// facts.yaml) in, one line per reward and the return out.
func TestScore(t *testing.T) {
	for _, path := range cases(t, "testdata/score/*.txtar") {
		t.Run(name(path), func(t *testing.T) {
			ar := parseArchive(t, path)
			e, err := Parse("rewards.yaml", section(t, ar, "rewards.yaml"))
			require.NoError(t, err)
			tr, facts := readCase(t, ar)
			got := e.Score(tr, facts, now)
			expect(t, path, ar, "want", format(e, got))
			require.Equal(t, got, e.Score(tr, facts, now), "a second evaluation must agree")
		})
	}
}

// TestErrors runs testdata/error: rewards.yaml in, the exact error out.
func TestErrors(t *testing.T) {
	for _, path := range cases(t, "testdata/error/*.txtar") {
		t.Run(name(path), func(t *testing.T) {
			ar := parseArchive(t, path)
			e, err := Parse("rewards.yaml", section(t, ar, "rewards.yaml"))
			require.Error(t, err)
			require.Nil(t, e)
			expect(t, path, ar, "error", err.Error()+"\n")
		})
	}
}

func cases(t *testing.T, pattern string) []string {
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

func name(path string) string { return strings.TrimSuffix(filepath.Base(path), ".txtar") }

func parseArchive(t *testing.T, path string) *txtar.Archive {
	ar, err := txtar.ParseFile(path)
	require.NoError(t, err)
	return ar
}

func section(t *testing.T, ar *txtar.Archive, name string) []byte {
	for _, f := range ar.Files {
		if f.Name == name {
			return f.Data
		}
	}
	require.Failf(t, "missing part", "-- %s --", name)
	return nil
}

// expect compares a part of a case; -update rewrites it.
func expect(t *testing.T, path string, ar *txtar.Archive, part, got string) {
	if !*update {
		require.Equal(t, string(section(t, ar, part)), got)
		return
	}
	for i := range ar.Files {
		if ar.Files[i].Name == part {
			ar.Files[i].Data = []byte(got)
			require.NoError(t, os.WriteFile(path, txtar.Format(ar), 0o644))
			return
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: part, Data: []byte(got)})
	require.NoError(t, os.WriteFile(path, txtar.Format(ar), 0o644))
}

// readCase reads trajectory.yaml and facts.yaml, whose keys are the Go fields.
func readCase(t *testing.T, ar *txtar.Archive) (*trajectory.Trajectory, []trajectory.Fact) {
	tr := new(trajectory.Trajectory)
	decode(t, section(t, ar, "trajectory.yaml"), tr)
	for i := range tr.Steps {
		tr.Steps[i].Index = i
	}
	var facts []trajectory.Fact
	for _, f := range ar.Files {
		if f.Name == "facts.yaml" {
			decode(t, f.Data, &facts)
		}
	}
	return tr, facts
}

func decode(t *testing.T, src []byte, into any) {
	var v any
	require.NoError(t, yaml.Unmarshal(src, &v))
	b, err := json.Marshal(v)
	require.NoError(t, err)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(into))
}

func format(e *Engine, got []trajectory.Reward) string {
	var b strings.Builder
	for _, r := range got {
		at, value := "-", "null"
		if r.Step >= 0 {
			at = fmt.Sprint(r.Step)
		}
		if r.Value != nil {
			value = fmt.Sprint(*r.Value)
		}
		line := fmt.Sprintf("%s %s %s", r.Name, at, value)
		if r.Reason != "" {
			line += fmt.Sprintf(" %s: %s", r.Reason, r.Explanation)
		}
		if r.Provisional {
			line += " (provisional)"
		}
		b.WriteString(line + "\n")
	}
	value, masked := e.Return(got)
	switch {
	case masked:
		b.WriteString("return masked\n")
	case value == nil:
		b.WriteString("return null\n")
	default:
		fmt.Fprintf(&b, "return %.6g\n", *value)
	}
	return b.String()
}
