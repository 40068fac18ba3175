package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct{ result, want string }{
		"good enough":    {`{"a": {"rollouts": 90, "exact": 88, "invented_steps": 0}, "b": {"rollouts": 10, "exact": 7}}`, ""},
		"too few exact":  {`{"a": {"rollouts": 90, "exact": 88}, "b": {"rollouts": 10, "exact": 6}}`, "94.00 % of the rollouts are exact, want at least 95 %"},
		"invented":       {`{"a": {"rollouts": 100, "exact": 100, "invented_steps": 1}}`, "1 steps were invented, want at most 0"},
		"nothing graded": {`{"a": {"invisible": 3}}`, "nothing was graded"},
		"not a result":   {`[]`, "read result"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "grade.json")
			require.NoError(t, os.WriteFile(path, []byte(c.result), 0o600))
			err := (&options{minExact: 95}).judge(path)
			if c.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestCapturesIn(t *testing.T) {
	names, err := capturesIn("../../../testdata/captures")
	require.NoError(t, err)
	assert.Contains(t, names, "openai__openinference-chat")
	assert.NotContains(t, names, "truth")
	_, err = capturesIn(t.TempDir())
	assert.ErrorContains(t, err, "truth.jsonl")
}
