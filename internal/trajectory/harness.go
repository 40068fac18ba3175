package trajectory

import (
	"cmp"
	"slices"
)

// What harnesses write of their calls, runs and turns is found again by ids; by
// what it says; else by time, among the spans of the same agent below the span
// that it was written under (or of the same session, where it names no trace).
// What fits several spans equally well is left out: nobody can tell whose it is.

const (
	// tick is how far apart two clocks of one process may be: records often
	// count in ms.
	tick = 2_000_000

	// lag is how long after the end of a call it may be told, in ns.
	lag = 2_000_000_000

	// maxLook bounds how many spans around a record are looked at.
	maxLook = 64
)

// whereabouts is where the spans are that a record may be of.
type whereabouts struct {
	span                  spanKey // below it
	service, conversation string  // else of the session
}

// placed identifies a call or a run by an id that is unique in its service.
type placed struct {
	service, kind, id string
}

// finder finds the spans that records of harnesses are of.
type finder struct {
	j      *joiner
	calls  map[whereabouts][]int // model spans by start
	runs   map[whereabouts][]int // tool spans by start
	agents map[whereabouts][]int // spans of agents that host records, by start
	sorted bool                  // the lists are
	byID   map[placed]int
	told   map[told]bool           // what a span has a record of
	turns  map[int]string          // span that names no turn → that of its records
	events map[whereabouts][]*Span // of calls, in order
	of     map[*Span]int           // event → its span
}

type told struct {
	span int
	name string
}

// settle finds the spans that records of harnesses are of, and makes spans of
// the calls, runs and turns that none shows.
func (j *joiner) settle(own []*Span) {
	if len(own) == 0 {
		return
	}
	slices.SortStableFunc(own, func(a, b *Span) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Order, b.Order), cmp.Compare(a.Name, b.Name), slices.Compare(a.SpanID[:], b.SpanID[:]))
	})
	f := &finder{j: j, calls: map[whereabouts][]int{}, byID: map[placed]int{}, told: map[told]bool{}, turns: map[int]string{}, events: map[whereabouts][]*Span{}, of: map[*Span]int{}, runs: map[whereabouts][]int{}, agents: map[whereabouts][]int{}}
	for i := range j.spans {
		f.know(i)
	}
	for _, list := range f.calls {
		slices.SortFunc(list, f.byStart)
	}
	for _, list := range f.runs {
		slices.SortFunc(list, f.byStart)
	}
	for _, list := range f.agents {
		slices.SortFunc(list, f.byStart)
	}
	f.sorted = true
	for _, r := range own {
		if r.Record == RecordEvent {
			f.event(r)
		}
	}
	for _, r := range own {
		if r.Record == RecordResponse {
			f.response(r)
		}
	}
	for _, r := range slices.Backward(own) { // the last request before a call is its own
		if r.Record == RecordRequest {
			f.tell(r, f.request(r))
		}
	}
}

func (f *finder) byStart(x, y int) int {
	a, b := f.j.spans[x], f.j.spans[y]
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), slices.Compare(a.SpanID[:], b.SpanID[:]))
}

// know files a span by what records may name.
func (f *finder) know(i int) {
	s := f.j.spans[i]
	switch s.Role {
	case RoleModelSpan:
		f.place(f.calls, i)
		f.file(s, "request", s.Request, i)
		if s.Call != nil {
			f.file(s, "response", s.Call.ResponseID, i)
		}
	case RoleAgentSpan:
		if s.Hosts {
			f.place(f.agents, i)
		}
	case RoleToolSpan:
		if s.Tool == nil {
			return
		}
		f.file(s, "tool", s.Tool.CallID, i)
		f.place(f.runs, i)
	}
}

// place files a span by where it is: in order once the lists are in order.
func (f *finder) place(lists map[whereabouts][]int, i int) {
	for _, p := range placesOf(f.j.spans[i]) {
		list := lists[p]
		at := len(list)
		if f.sorted {
			at, _ = slices.BinarySearchFunc(list, i, f.byStart)
		}
		lists[p] = slices.Insert(list, at, i)
	}
}

// file notes an id; of a run inside a run the outer one has it.
func (f *finder) file(s *Span, kind, id string, i int) {
	if id == "" {
		return
	}
	key := placed{s.Service, kind, id}
	if at, ok := f.byID[key]; !ok || f.byStart(i, at) < 0 {
		f.byID[key] = i
	}
}

// placesOf are the places at which a span is looked for.
func placesOf(s *Span) []whereabouts {
	out := make([]whereabouts, 0, 2)
	if s.ParentID != (SpanID{}) {
		out = append(out, whereabouts{span: spanKey{s.TraceID, s.ParentID}})
	}
	if s.Conversation != "" {
		out = append(out, whereabouts{service: s.Service, conversation: s.Conversation})
	}
	return out
}

// placeOf is where the spans of a record are.
func placeOf(r *Span) whereabouts {
	if r.Session || r.ParentID == (SpanID{}) {
		return whereabouts{service: r.Service, conversation: r.Conversation}
	}
	return whereabouts{span: spanKey{r.TraceID, r.ParentID}}
}

// tell gives a record to a span.
func (f *finder) tell(r *Span, i int) {
	if i < 0 {
		return
	}
	s := f.j.spans[i]
	key := spanKey{s.TraceID, s.SpanID}
	f.j.records[key] = append(f.j.records[key], r)
	f.told[told{i, r.Name}] = true
	if f.turns[i] == "" {
		f.turns[i] = r.Turn
	}
	f.file(s, "request", r.Request, i)
	if r.Call != nil {
		f.file(s, "response", r.Call.ResponseID, i)
	}
	if r.Role == RoleModelSpan && r.Record == RecordEvent {
		f.of[r] = i
		p := placeOf(r)
		f.events[p] = append(f.events[p], r)
	}
}

// event finds the span of a call, a run or a turn that happened, else makes one.
func (f *finder) event(r *Span) {
	i := none
	switch r.Role {
	case RoleModelSpan:
		if i = f.call(r, r.End, lag, func(s *Span) int64 { return s.End }); i == several || i < 0 && f.attempt(r) {
			return
		}
	case RoleToolSpan:
		i = f.run(r)
	case RoleAgentSpan:
		if i = f.host(r, RoleAgentSpan); i < 0 && r.Session {
			i = f.goingOn(r)
		}
	}
	if i < 0 {
		i = f.stand(r)
	}
	f.tell(r, i)
}

// goingOn is the latest agent span of a session that was going on when a record
// of what the user said was written.
func (f *finder) goingOn(r *Span) int {
	best := none
	for _, i := range f.around(f.agents[placeOf(r)], r.End) {
		if s := f.j.spans[i]; r.End <= s.End+tick && agree(r.User, s.User) {
			best = i
		}
	}
	return best
}

// host is the span that a record was written under, if it has the role.
func (f *finder) host(r *Span, role Role) int {
	if at, ok := f.j.at[spanKey{r.TraceID, r.ParentID}]; ok && f.j.spans[at].Role == role {
		return at
	}
	return none
}

// stand makes a span of what only a record shows.
func (f *finder) stand(r *Span) int {
	s := &Span{
		TraceID: r.TraceID, SpanID: r.SpanID, ParentID: r.ParentID, Name: r.Name, Start: r.Start, End: r.End, Role: r.Role, GenAI: true,
		Dialect: r.Dialect, Service: r.Service, Conversation: r.Conversation, User: r.User, Seq: r.Seq, Error: r.Error,
		Harness: Harness{Turn: r.Turn, AgentID: r.AgentID, Request: r.Request, Reports: r.Reports, Told: true, Session: r.Session},
	}
	key, i := spanKey{s.TraceID, s.SpanID}, len(f.j.spans)
	if r.Role == RoleToolSpan && r.Tool != nil {
		run := *r.Tool
		s.Tool = &run
	}
	f.j.at[key] = i
	f.j.spans = append(f.j.spans, s)
	f.know(i)
	return i
}

// run finds the span of a tool run: by its id, else the earliest of that name
// and those arguments that has no such record yet.
func (f *finder) run(r *Span) int {
	if r.Tool == nil {
		return none
	}
	if id := r.Tool.CallID; id != "" {
		if i, ok := f.byID[placed{r.Service, "tool", id}]; ok {
			return i
		}
		return none
	}
	if i := f.host(r, RoleToolSpan); i >= 0 && f.j.spans[i].Tool != nil {
		return i
	}
	for _, i := range f.around(f.runs[placeOf(r)], r.End) {
		if !f.told[told{i, r.Name}] && sameTool(f.j.spans[i].Tool, r.Tool) {
			return i
		}
	}
	return none
}

func (f *finder) startsAt(i int, t int64) int { return cmp.Compare(f.j.spans[i].Start, t) }

// attempt says whether a failed request is one that the client sent again
// within a call that it shows: no call of its own.
func (f *finder) attempt(r *Span) bool {
	if r.Error == "" {
		return false
	}
	for _, i := range f.around(f.calls[placeOf(r)], r.End) {
		if s := f.j.spans[i]; r.End <= s.End+tick && sameAgent(r, s) {
			return true
		}
	}
	return false
}

// around is the last spans that started before a time.
func (f *finder) around(list []int, at int64) []int {
	end, _ := slices.BinarySearchFunc(list, at+tick+1, f.startsAt)
	return list[max(0, end-maxLook):end]
}

// request finds the call of a request that was written before it ended. Where
// only the ends of calls are told it is the first that ended after it.
func (f *finder) request(r *Span) int {
	if i := f.call(r, r.Start, tick, func(s *Span) int64 { return s.Start }); i != none {
		return i
	}
	list := f.calls[placeOf(r)]
	from, _ := slices.BinarySearchFunc(list, r.Start, f.startsAt)
	for _, i := range list[from:min(len(list), from+maxLook)] {
		if s := f.j.spans[i]; s.Told && s.End >= r.End && !f.told[told{i, r.Name}] && alike(r, s) != likenessNo {
			return i
		}
	}
	return none
}

// response finds the call of a response that was written after the event of its
// end: that of the event before it.
func (f *finder) response(r *Span) {
	if i := f.named(r); i >= 0 {
		f.tell(r, i)
		return
	}
	list := f.events[placeOf(r)]
	for k := len(list) - 1; k >= 0 && k >= len(list)-maxLook; k-- {
		e := list[k]
		before := e.End <= r.End+tick
		if e.Order > 0 && r.Order > 0 {
			before = e.Order < r.Order
		}
		if before && sameWork(e, r) && e.Error == "" {
			f.tell(r, f.of[e])
			return
		}
	}
	i := f.call(r, r.End, lag, func(s *Span) int64 { return s.End })
	if i == none {
		i = f.stand(r)
	}
	f.tell(r, i)
}

// sameWork says whether two records are of the same agent, turn and model.
func sameWork(a, b *Span) bool {
	return sameAgent(a, b) && agree(a.Turn, b.Turn) && agree(a.Request, b.Request) &&
		(a.Call == nil || b.Call == nil || agree(a.Call.RequestModel, b.Call.RequestModel))
}

// sameAgent says whether two of a session may work for the same agent. Some
// name it, some only say that it is not the main one, some say nothing.
func sameAgent(a, b *Span) bool {
	if a.AgentID != "" && b.AgentID != "" {
		return a.AgentID == b.AgentID
	}
	aPart, bPart := a.Part || a.AgentID != "", b.Part || b.AgentID != ""
	return !(aPart && b.Main || a.Main && bPart)
}

// agree says whether two ids may be the same.
func agree(a, b string) bool { return a == "" || b == "" || a == b }

// named finds the call whose ids a record has.
func (f *finder) named(r *Span) int {
	if i := f.host(r, RoleModelSpan); i >= 0 {
		return i
	}
	if r.Request != "" {
		if i, ok := f.byID[placed{r.Service, "request", r.Request}]; ok {
			return i
		}
	}
	if r.Call != nil && r.Call.ResponseID != "" {
		if i, ok := f.byID[placed{r.Service, "response", r.Call.ResponseID}]; ok {
			return i
		}
	}
	return none
}

// call finds the call that a record is of: by ids, by what both show, else the
// one whose end (or start) is nearest, of those that had not ended for longer
// than slack, unless two of them were going on.
func (f *finder) call(r *Span, at, slack int64, end func(*Span) int64) int {
	if i := f.named(r); i >= 0 && !f.told[told{i, r.Name}] {
		return i
	}
	best, bestFit, open := none, likenessNo, 0
	for _, i := range f.around(f.calls[placeOf(r)], at) {
		s := f.j.spans[i]
		if at > s.End+slack || f.told[told{i, r.Name}] || !agree(r.Turn, f.turns[i]) {
			continue
		}
		l := alike(r, s)
		if l == likenessNo {
			continue
		}
		if l == likenessMaybe && at <= s.End+tick {
			open++
		}
		if l > bestFit || l == bestFit && distance(at, end(s)) < distance(at, end(f.j.spans[best])) {
			best, bestFit = i, l
		}
	}
	if bestFit == likenessMaybe && open > 1 {
		return several
	}
	return best
}

// What is found where not one span is.
const (
	none    = -1
	several = -2 // nobody can tell which
)

func distance(a, b int64) int64 { return max(a-b, b-a) }

// likeness is how well a record and a span show the same call.
type likeness int

const (
	likenessNo likeness = iota
	likenessMaybe
	likenessSure
)

func alike(r, s *Span) likeness {
	if !sameAgent(r, s) || !agree(r.User, s.User) || !agree(r.Turn, s.Turn) || !agree(r.Request, s.Request) || r.Record == RecordEvent && (r.Error == "") != (s.Error == "") {
		return likenessNo
	}
	a, b := r.Call, s.Call
	if a == nil || b == nil {
		return likenessMaybe
	}
	if !agree(a.RequestModel, b.RequestModel) || !agree(a.ResponseID, b.ResponseID) {
		return likenessNo
	}
	same := likenessMaybe
	for _, n := range [...][2]*int64{{a.InputTokens, b.InputTokens}, {a.OutputTokens, b.OutputTokens}} {
		switch {
		case n[0] == nil || n[1] == nil:
		case *n[0] != *n[1]:
			return likenessNo
		default:
			same = likenessSure
		}
	}
	if len(a.Prompt) > 0 && len(b.Prompt) > 0 {
		switch { // results of tools are written in other forms in other places
		case len(turns(a.Prompt)) != len(turns(b.Prompt)):
			return likenessNo
		case sameCall(&Call{Prompt: a.Prompt}, &Call{Prompt: b.Prompt}):
			same = likenessSure
		}
	}
	return same
}
