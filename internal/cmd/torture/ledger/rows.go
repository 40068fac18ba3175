package ledger

import (
	"cmp"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// version is what ties rows of all tables together.
type version struct {
	ID       string `parquet:"trajectory_id"`
	Revision int64  `parquet:"revision"`
	Batch    string `parquet:"batch"`
}

func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.Revision, o.Revision), cmp.Compare(v.Batch, o.Batch))
}

type trajectoryRow struct {
	version
	TraceIDs    []string `parquet:"trace_ids,list"`
	CloseReason string   `parquet:"close_reason,optional"`
	SpanCount   int      `parquet:"span_count"`
	ModelCalls  int      `parquet:"model_calls"`
	ToolCalls   int      `parquet:"tool_calls"`
	Trainable   bool     `parquet:"trainable"`
	Reasons     []string `parquet:"reasons,list"`
}

type stepRow struct {
	version
	TraceID string `parquet:"trace_id,optional"`
	SpanID  string `parquet:"span_id,optional"`
}

type factRow struct {
	ID string `parquet:"fact_id"`
}

// Rows is what a dataset holds, all revisions. Files never change, so each is
// read once. The zero value is empty.
type Rows struct {
	read         map[string]bool
	trajectories []trajectoryRow
	steps        map[version][]stepRow
	messages     map[version]int
	facts        map[string]bool // a fact counts once however often it is there
}

// Refresh reads the files that were not read before.
func (r *Rows) Refresh(root string) error {
	if r.read == nil {
		*r = Rows{read: map[string]bool{}, steps: map[version][]stepRow{}, messages: map[version]int{}, facts: map[string]bool{}}
	}
	// The commit first: what it commits is there already.
	err := refresh(r, root, dataset.TableTrajectories, func(t trajectoryRow) { r.trajectories = append(r.trajectories, t) })
	if err != nil {
		return err
	}
	err = refresh(r, root, dataset.TableSteps, func(s stepRow) { r.steps[s.version] = append(r.steps[s.version], s) })
	if err != nil {
		return err
	}
	err = refresh(r, root, dataset.TableFacts, func(f factRow) { r.facts[f.ID] = true })
	if err != nil {
		return err
	}
	return refresh(r, root, dataset.TableMessages, func(v version) { r.messages[v]++ })
}

func refresh[T any](r *Rows, root, table string, add func(T)) error {
	files, err := dataset.Files(root, table)
	if err != nil {
		return err
	}
	for _, path := range files {
		if r.read[path] {
			continue
		}
		rows, err := parquet.ReadFile[T](path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		for _, row := range rows {
			add(row)
		}
		r.read[path] = true
	}
	return nil
}

// live is the rows that count, as docs/dataset.md says: of each trajectory the
// highest revision, of equal ones the greatest batch. A version that is there
// twice is twice in it.
func (r *Rows) live() []trajectoryRow {
	newest := map[string]version{}
	for _, t := range r.trajectories {
		if have, ok := newest[t.ID]; !ok || t.compare(have) > 0 {
			newest[t.ID] = t.version
		}
	}
	var rows []trajectoryRow
	for _, t := range r.trajectories {
		if newest[t.ID] == t.version {
			rows = append(rows, t)
		}
	}
	return rows
}
