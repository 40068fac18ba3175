package doctor

import (
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// tally is a service that is being counted.
type tally struct {
	Service
	byOrigin map[int32]*Emitter
	limits   map[*Emitter]map[int32]int // how often content was cut at so many characters
	sessions map[uint64]bool
	tasks    map[uint64]int
	values   map[string]map[uint64]bool
}

// tallyOf is the tally of a service.
func tallyOf(in map[string]*tally, name string) *tally {
	t := in[name]
	if t == nil {
		t = &tally{
			byOrigin: map[int32]*Emitter{}, limits: map[*Emitter]map[int32]int{}, sessions: map[uint64]bool{},
			tasks: map[uint64]int{}, values: map[string]map[uint64]bool{},
		}
		t.Service = *NewService(name)
		in[name] = t
	}
	return t
}

func (t *tally) emitter(e *Exam, origin int32) *Emitter {
	em := t.byOrigin[origin]
	if em == nil {
		em = &Emitter{Origin: e.origins[origin], Shows: Shows{}}
		if em.Service == t.Name {
			em.Service = ""
		}
		t.byOrigin[origin] = em
		t.Emitters = append(t.Emitters, em)
	}
	return em
}

// count takes one trajectory into the account of its service.
func (e *Exam) count(tr *trajectory.Trajectory, spans []*trajectory.Span) {
	of := e.tallies
	if tr.ModelCalls+tr.ToolCalls == 0 {
		of = e.idle // an agent that was created, a workflow that only calls others
	}
	t := tallyOf(of, tr.ServiceName)
	t.Runs++
	if tr.Trainable {
		t.Trainable++
	}
	for _, r := range tr.Reasons {
		t.Reasons[string(r)]++
	}
	if tr.Status == trajectory.StatusError {
		t.Failures.Runs++
	}
	t.Shows.add(Sessions, tr.ConversationID != "")
	t.Shows.add(Users, tr.UserID != "")
	t.Shows.add(AgentNames, len(tr.AgentNames) > 0)
	facts := e.facts(tr)
	t.Shows.add(Verdicts, len(facts) > 0)
	for _, f := range facts {
		t.fact(f)
	}
	if tr.ConversationID != "" && len(t.sessions) < maxTasks {
		t.sessions[hash(tr.ConversationID)] = true
	}
	if tr.TaskKey != "" && len(t.tasks) < maxTasks {
		t.tasks[hash(tr.TaskKey)]++
	}
	if tr.TaskKeySource == "attribute" {
		t.NamedTasks++
	}
	t.joins(tr, spans)
	t.spans(e, spans)
	t.steps(e, tr)
	t.context(e, tr)
}

func (t *tally) fact(f fact) {
	c := t.Facts[f.name]
	if c == nil {
		if len(t.Facts) >= maxValues {
			return
		}
		c = &FactCount{Source: f.source}
		t.Facts[f.name] = c
	}
	c.Runs++
}

// joins says what tied the traces of a run together.
func (t *tally) joins(tr *trajectory.Trajectory, spans []*trajectory.Span) {
	rooted, called := map[trajectory.TraceID]bool{}, map[trajectory.TraceID]bool{}
	rollout, session := false, true
	for _, s := range spans {
		if s.Record != trajectory.RecordNone {
			continue
		}
		call := s.Role == trajectory.RoleModelSpan || s.Role == trajectory.RoleToolSpan
		called[s.TraceID] = called[s.TraceID] || call && s.ParentID == (trajectory.SpanID{})
		rooted[s.TraceID] = rooted[s.TraceID] || s.Role == trajectory.RoleAgentSpan || !call && (s.ParentID == (trajectory.SpanID{}) || s.Remote)
		rollout = rollout || s.Rollout != ""
		session = session && (s.Conversation != "" || !call)
	}
	traces, fragments := 0, 0
	for id := range called {
		traces++
		if called[id] && !rooted[id] {
			fragments++
		}
	}
	t.Traces += traces
	t.Fragments += fragments
	t.Shows.add(Roots, fragments == 0 && len(rooted) > 0)
	switch {
	case traces > 1 && rollout:
		t.Joined.ByRollout++
	case traces > 1 && session:
		t.Joined.BySession++
	case traces > 1:
		t.Joined.ByHistory++
	case fragments == 1 && tr.ModelCalls == 1:
		t.Alone++
	}
}

// spans counts what emitters emitted, whether it became a step or not.
func (t *tally) spans(e *Exam, spans []*trajectory.Span) {
	at := make(map[spanKey]*trajectory.Span, len(spans))
	for _, s := range spans {
		at[spanKey{s.TraceID, s.SpanID}] = s
	}
	for _, s := range spans {
		if s.Record != trajectory.RecordNone {
			t.Records++
			continue
		}
		t.Spans++
		key := spanKey{s.TraceID, s.SpanID}
		note, ok := e.home[key]
		if !ok {
			continue // one that passed before its trace was known as an agent's
		}
		note.counted = true
		e.home[key] = note
		em := t.emitter(e, note.origin)
		em.Spans++
		for d := range strings.SplitSeq(s.Dialect, ",") {
			if d != "" && !slices.Contains(em.Dialects, d) {
				em.Dialects = append(em.Dialects, d)
			}
		}
		switch s.Role {
		case trajectory.RoleModelSpan:
			em.Models++
			if s.Error != "" {
				em.Failed++
			}
		case trajectory.RoleToolSpan:
			em.Tools++
		case trajectory.RoleAgentSpan:
			em.Agents++
		}
		t.damage(em, s, note)
		t.clock(s, at[spanKey{s.TraceID, s.ParentID}])
	}
}

// damage counts content that was hidden or cut on its way.
func (t *tally) damage(em *Emitter, s *trajectory.Span, note spanNote) {
	if slices.Contains(s.Missing, trajectory.ReasonRedacted) {
		em.Redacted++
	}
	if note.dropped {
		em.Dropped++
	}
	em.Attached = max(em.Attached, int(note.attrs))
	if slices.Contains(s.Missing, trajectory.ReasonTruncated) {
		em.Truncated++
		if note.limit > 0 {
			if t.limits[em] == nil {
				t.limits[em] = map[int32]int{}
			}
			if len(t.limits[em]) < maxValues {
				t.limits[em][note.limit]++
			}
		}
	}
	if s.End == 0 {
		t.Open++
	}
}

// skewed is from where on a child that starts before its parent in another
// process means that two clocks disagree.
const skewed = 10e6

func (t *tally) clock(s, parent *trajectory.Span) {
	if parent == nil || s.Service == parent.Service {
		return
	}
	if by := parent.Start - s.Start; by > skewed {
		t.Skewed++
		t.Skew = max(t.Skew, by/1e6)
	}
}

// context counts the attributes that stand beside what the dialects say.
func (t *tally) context(e *Exam, tr *trajectory.Trajectory) {
	seen := map[string]bool{}
	for _, id := range tr.TraceIDs {
		for _, p := range e.roots[traceID(id)] {
			sp := t.Attributes[p.name]
			if sp == nil {
				if len(t.Attributes) >= maxValues {
					continue
				}
				sp = &Spread{}
				t.Attributes[p.name], t.values[p.name] = sp, map[uint64]bool{}
			}
			if !seen[p.name] {
				seen[p.name] = true
				sp.Runs++
			}
			if vs := t.values[p.name]; len(vs) < maxValues {
				vs[hash(p.value)] = true
			}
		}
	}
}

// done sums up.
func (t *tally) done() *Service {
	t.Sessions, t.Tasks = len(t.sessions), len(t.tasks)
	for _, n := range t.tasks {
		if n > 1 {
			t.Repeated += n
		}
	}
	for name, sp := range t.Attributes {
		sp.Values = len(t.values[name])
	}
	for _, em := range t.Emitters {
		slices.Sort(em.Dialects)
		for limit, n := range t.limits[em] {
			if n > 1 && n == em.Truncated {
				em.Limit = int(limit)
			}
		}
	}
	return &t.Service
}

func bump(m map[string]int, key string) {
	if _, ok := m[key]; ok || len(m) < maxValues {
		m[key]++
	}
}
