package bundle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// labelled is a folder with n bundles, and a clock.
func labelled(t *testing.T, n int) (root string, ids []string, now func() time.Time) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "bundles")
	for i := range n {
		m := Manifest{
			Kind: KindAdapter, Name: fmt.Sprint(i), Status: StatusCandidate, BaseModel: "org/Base 1", CreatedAt: time.Unix(int64(i+1), 0),
		}
		files, err := AdapterFiles(m, map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.safetensors": []byte("x")})
		require.NoError(t, err)
		b, err := Add(root, m, files)
		require.NoError(t, err)
		assert.Equal(t, "Base-1-"+ShortID(b.ID()), b.AdapterName())
		ids = append(ids, b.ID())
	}
	at := time.Unix(1000, 0)
	return root, ids, func() time.Time { at = at.Add(time.Second); return at }
}

// TestRollbackUndoesMoves: whatever moves and rollbacks there were, going back
// is going back on a stack.
func TestRollbackUndoesMoves(t *testing.T) {
	for seed := range uint64(5) {
		root, ids, now := labelled(t, 4)
		r := rand.New(rand.NewPCG(seed, 1))
		stack := []string{""}
		for range 20 {
			top := stack[len(stack)-1]
			if r.IntN(2) == 0 {
				to := ids[r.IntN(len(ids))]
				_, err := MoveLabel(root, LabelProduction, Move{At: now(), To: to})
				require.NoError(t, err)
				if to != top {
					stack = append(stack, to)
				}
			} else {
				to, err := Previous(root, LabelProduction)
				if len(stack) == 1 {
					require.ErrorIs(t, err, ErrNoHistory)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, stack[len(stack)-2], to)
				stack = stack[:len(stack)-1]
				m, err := MoveLabel(root, LabelProduction, Move{At: now(), To: to, Rollback: true})
				require.NoError(t, err)
				require.Equal(t, top, m.From)
			}
			held, err := current(root, LabelProduction)
			require.NoError(t, err)
			require.Equal(t, stack[len(stack)-1], held)
		}
	}
}

func TestHistoryOutlivesAccidents(t *testing.T) {
	root, ids, now := labelled(t, 3)
	move := func(id string) {
		_, err := MoveLabel(root, LabelProduction, Move{At: now(), To: id})
		require.NoError(t, err)
	}
	previous := func(want string) {
		t.Helper()
		got, err := Previous(root, LabelProduction)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	move(ids[0])
	previous("")
	require.NoError(t, record(root, LabelProduction, Move{At: now(), From: ids[0], To: ids[1]}))
	previous("") // it was written down and never came about
	move(ids[2])
	previous(ids[0])

	f, err := os.OpenFile(historyFile(root, LabelProduction), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"at":"2026-11-`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	previous(ids[0])
	move(ids[1]) // after a line that was cut
	previous(ids[2])

	require.NoError(t, SetLabel(root, LabelProduction, ids[0]))
	previous(ids[1]) // set by other means: back to what is recorded last
	require.NoError(t, os.WriteFile(filepath.Join(root, "labels", "production"), []byte("?"), 0o600))
	previous(ids[1])
	labels, err := Labels(root)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"production": ""}, labels)
	_, err = MoveLabel(root, LabelProduction, Move{At: now(), To: ids[2]})
	require.NoError(t, err, "a label that holds no id can be moved")

	moves, err := History(root, LabelProduction)
	require.NoError(t, err)
	_, err = MoveLabel(root, LabelProduction, Move{At: now(), To: ids[2]})
	require.NoError(t, err)
	_, err = MoveLabel(root, LabelProduction, Move{At: now(), To: hexOf('0')})
	require.ErrorContains(t, err, "set label")
	_, err = MoveLabel(root, "Production", Move{At: now(), To: ids[2]})
	require.ErrorContains(t, err, "must be 1 to 63 lower-case letters")
	after, err := History(root, LabelProduction)
	require.NoError(t, err)
	assert.Equal(t, moves, after, "what changes nothing is not recorded")
}

func hexOf(c byte) string {
	b := make([]byte, 64)
	for i := range b {
		b[i] = c
	}
	return string(b)
}
