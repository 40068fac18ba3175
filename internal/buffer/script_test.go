package buffer

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

// TestScripts runs the scripts in testdata: each file explains what it shows.
//
// A script is lines of
//
//	<time> add <span> | <span> ...   one request
//	<time> pass <span> | ...         spans that went by as ordinary ones
//	<time> due                       what closes
//	<time> flush
//	<time> hold <bytes>
//	<time> bytes                     what is held
//	> ...                            what the line before must say
//
// A span is `trace.span role attributes...`; a node is structure that shows a
// conversation. Attributes: `<1` the parent is
// span 1, `<1r` likewise in another process, `@2-5` runs from second 2 to 5
// (default: the arrival), `conv=` `rollout=` `key=` `tenant=` `user=` `svc=` `size=` `raw`
// `err`, `gw` is the gateway's, `link=` the root goes on from a span (`trace.span`, with a `!` it takes its message), `p=` prompt and `r=` reply as messages u:text, s:text, a:text, a:#id
// (asks for the tool call id), t:id (its result), joined by `;`, `id=` of the response, `prev=` that of the response it goes on from, and `tool=id`.
// Of harnesses: `piece` of its session, `turn=`, `reports=` a tool call, `event` and
// `response` are records (`.span` names no trace) and `tokens=` counts the output.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			arc, err := txtar.ParseFile(file)
			require.NoError(t, err)
			cfg := testConfig()
			for i := range arc.Files {
				f := &arc.Files[i]
				switch {
				case f.Name == "config":
					readConfig(t, &cfg, string(f.Data))
				default:
					got := runScript(t, cfg, string(f.Data))
					if *update {
						f.Data = []byte(got)
						continue
					}
					require.Equal(t, string(f.Data), got, f.Name)
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(file, txtar.Format(arc), 0o600))
			}
		})
	}
}

func testConfig() Config {
	return Config{
		RootGrace: 5 * time.Second, Idle: time.Minute, MaxAge: time.Hour, LateWindow: 10 * time.Minute,
		MaxTrajectoryBytes: 1 << 20, MaxBytes: 1 << 24, MaxOpen: 1000,
	}
}

func readConfig(t *testing.T, cfg *Config, s string) {
	t.Helper()
	for line := range strings.Lines(s) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		num := func() int64 {
			n, err := strconv.ParseInt(v, 10, 64)
			require.NoError(t, err)
			return n
		}
		dur := func() time.Duration {
			d, err := time.ParseDuration(v)
			require.NoError(t, err)
			return d
		}
		switch k {
		case "max_trajectory":
			cfg.MaxTrajectoryBytes = num()
		case "max_bytes":
			cfg.MaxBytes = num()
		case "max_open":
			cfg.MaxOpen = int(num())
		case "max_age":
			cfg.MaxAge = dur()
		case "late_window":
			cfg.LateWindow = dur()
		case "by_key":
			cfg.ByKey = true
		default:
			t.Fatalf("unknown config %q", k)
		}
	}
}

func runScript(t *testing.T, cfg Config, script string) string {
	t.Helper()
	b := New(cfg)
	names := map[string]string{}
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, ">") {
			continue
		}
		out.WriteString(line + "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		at, rest, _ := strings.Cut(line, " ")
		clock, err := time.ParseDuration(at)
		require.NoError(t, err, line)
		now := int64(clock)
		verb, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
		switch verb {
		case "add":
			var items []Item
			for s := range strings.SplitSeq(rest, " | ") {
				items = append(items, parseItem(t, s, now, names))
			}
			say(&out, b.Add(now, items))
		case "pass":
			for s := range strings.SplitSeq(rest, " | ") {
				x := parseItem(t, s, now, names).Span
				b.Pass(x.TraceID, x.SpanID, x.ParentID, x.Remote, x.Start, x.End)
			}
		case "due":
			render(&out, b.Due(now, 1000), names)
		case "flush":
			render(&out, b.Flush(now), names)
		case "bytes":
			fmt.Fprintf(&out, "> %d\n", b.Bytes())
		case "hold":
			n, err := strconv.ParseInt(rest, 10, 64)
			require.NoError(t, err)
			b.Hold(n)
		default:
			t.Fatalf("unknown verb in %q", line)
		}
		checkBooks(t, b)
		tell(&out, b.Take())
	}
	return out.String()
}

func say(out *strings.Builder, err error) {
	switch {
	case errors.Is(err, ErrFull):
		out.WriteString("> full\n")
	case errors.Is(err, ErrTooLarge):
		out.WriteString("> too large\n")
	}
}

// tell writes the counts that are worth a look.
func tell(out *strings.Builder, c Tally) {
	for _, x := range []struct {
		name string
		n    int64
	}{
		{"duplicate", c.Duplicate}, {"after truncation", c.AfterTruncation}, {"stripped", c.Stripped}, {"late", c.Late},
		{"reopened", c.Reopened}, {"forgotten", c.Forgotten}, {"no attempt", c.NoAttempt},
	} {
		if x.n != 0 {
			fmt.Fprintf(out, "> %s %d\n", x.name, x.n)
		}
	}
}

// render writes `<id> <reason> r<revision> [spans] reasons...`; ids are shown
// as what they are the hash of.
func render(out *strings.Builder, list []Closed, names map[string]string) {
	for _, c := range list {
		var spans []string
		for _, s := range c.Spans {
			spans = append(spans, spanName(s))
		}
		slices.Sort(spans)
		fmt.Fprintf(out, "> %s %s r%s %v", nameOf(c.ID, c.Spans, names), c.CloseReason, time.Duration(c.Revision)*time.Microsecond, spans)
		for _, r := range c.Reasons {
			fmt.Fprintf(out, " %s", r)
		}
		if c.Continues != "" {
			fmt.Fprintf(out, " continues %s", nameOf(c.Continues, c.Spans, names))
		}
		if len(c.Fresh) > 0 {
			fmt.Fprintf(out, " fresh")
			for _, f := range c.Fresh {
				fmt.Fprintf(out, " %v", f.Raw)
			}
		}
		out.WriteString("\n")
	}
}

func spanName(s *trajectory.Span) string {
	trace := strings.TrimRight(string(s.TraceID[:]), "\x00")
	if s.Session {
		trace = "~"
	}
	return trace + "." + strings.TrimRight(string(s.SpanID[:]), "\x00")
}

func nameOf(id string, spans []*trajectory.Span, names map[string]string) string {
	if n, ok := names[id]; ok {
		return n
	}
	for _, s := range spans { // rows of late spans and of split traces
		for of := range names {
			if id == trajectory.IDOf(of+"/"+s.SpanID.String()) {
				return names[of] + "/" + spanName(s)
			}
		}
		if id == trajectory.IDOf(s.TraceID.String()+"/turn/"+s.Turn) {
			return "~" + s.Turn
		}
		if id == trajectory.IDOf(s.TraceID.String()+"/"+s.SpanID.String()) {
			return strings.SplitN(spanName(s), ".", 2)[0] + "/" + spanName(s)
		}
	}
	return id
}

func parseItem(t *testing.T, text string, now int64, names map[string]string) Item {
	t.Helper()
	fields := strings.Fields(text)
	trace, span, ok := strings.Cut(fields[0], ".")
	require.True(t, ok, text)
	s := &trajectory.Span{Start: now, End: now + int64(time.Second), GenAI: true, Size: 100}
	copy(s.TraceID[:], trace)
	copy(s.SpanID[:], span)
	if trace != "" {
		names[trajectory.IDOf(s.TraceID.String())] = trace
	}
	it := Item{Span: s}
	switch fields[1] {
	case "agent":
		s.Role = trajectory.RoleAgentSpan
	case "model":
		s.Role, s.Call = trajectory.RoleModelSpan, &trajectory.Call{}
	case "tool":
		s.Role, s.Tool = trajectory.RoleToolSpan, &trajectory.ToolRun{}
	case "node":
		s.Call = &trajectory.Call{}
	case "other":
	default:
		t.Fatalf("unknown role in %q", text)
	}
	for _, f := range fields[2:] {
		k, v, _ := strings.Cut(f, "=")
		switch {
		case strings.HasPrefix(f, "<"):
			copy(s.ParentID[:], strings.TrimSuffix(f[1:], "r"))
			s.Remote = strings.HasSuffix(f, "r")
		case strings.HasPrefix(f, "@"):
			_, err := fmt.Sscanf(f, "@%d-%d", &s.Start, &s.End)
			require.NoError(t, err, text)
			s.Start, s.End = s.Start*int64(time.Second), s.End*int64(time.Second)
		case k == "conv":
			s.Conversation = v
		case k == "rollout":
			s.Rollout = v
			names[trajectory.IDOf(v)] = v
		case k == "tenant":
			s.Tenant = v
			names[trajectory.IDOf(v+"\x00"+s.Rollout)] = v + "/" + s.Rollout
		case k == "id":
			s.Call.ResponseID = v
		case k == "prev":
			s.Previous = v
		case k == "link":
			lt, ls, ok := strings.Cut(strings.TrimSuffix(v, "!"), ".")
			require.True(t, ok, text)
			s.Link = &trajectory.Link{Message: strings.HasSuffix(v, "!")}
			copy(s.Link.TraceID[:], lt)
			copy(s.Link.SpanID[:], ls)
		case k == "user":
			s.User = v
		case f == "piece":
			s.Piece = true
		case f == "hosts":
			s.Hosts = true
		case k == "turn":
			s.Turn = v
		case k == "reports":
			s.Reports = v
		case f == "event":
			s.Record, s.Size = trajectory.RecordEvent, 10
		case f == "response":
			s.Record, s.Size = trajectory.RecordResponse, 10
		case k == "tokens":
			n, err := strconv.ParseInt(v, 10, 64)
			require.NoError(t, err)
			s.Call.OutputTokens = &n
		case k == "svc":
			s.Service = v
		case k == "key":
			it.Key = v
		case k == "size":
			n, err := strconv.Atoi(v)
			require.NoError(t, err)
			s.Size, s.In = n, strings.Repeat("x", max(n, 0))
		case f == "raw":
			it.Raw, it.Size = fields[0], 1000
		case k == "raw":
			it.Raw, it.Size = v, 1000
		case f == "gw":
			s.Gateway = true
		case f == "err":
			s.Error = "failed"
		case k == "p":
			s.Call.Prompt = parseMessages(t, v)
		case k == "r":
			s.Call.Reply = parseMessages(t, v)
		case k == "tool":
			s.Tool.CallID = v
		default:
			t.Fatalf("unknown attribute %q", f)
		}
	}
	return it
}

func parseMessages(t *testing.T, text string) []*trajectory.Message {
	t.Helper()
	var out []*trajectory.Message
	for m := range strings.SplitSeq(text, ";") {
		who, what, ok := strings.Cut(m, ":")
		require.True(t, ok, text)
		x := &trajectory.Message{Role: map[string]string{
			"s": trajectory.RoleSystem, "u": trajectory.RoleUser, "a": trajectory.RoleAssistant, "t": trajectory.RoleTool,
		}[who]}
		switch {
		case who == "t":
			x.ToolCallID, x.Text = what, "result"
		case strings.HasPrefix(what, "#"):
			x.ToolCalls = []trajectory.ToolCall{{ID: what[1:], Name: "look", Arguments: "{}"}}
		default:
			x.Text = what
		}
		out = append(out, x)
	}
	return out
}

// checkBooks recounts what the buffer keeps count of.
func checkBooks(t *testing.T, b *Buffer) {
	t.Helper()
	total, residue, slots := int64(0), int64(0), 0
	units := map[*unit]bool{}
	for id, tr := range b.traces {
		require.Equal(t, id, tr.id)
		require.NotNil(t, tr.unit)
		require.Contains(t, tr.unit.traces, tr)
		units[tr.unit] = true
		total += tr.bytes
		slots += len(tr.slots)
	}
	open := 0
	for u := range units {
		sum, waiting, couplings := int64(0), 0, 0
		for _, tr := range u.traces {
			require.Same(t, u, tr.unit)
			sum += tr.bytes
			if !tr.whole {
				waiting++
			}
			if tr.cause != nil {
				couplings++
				require.Contains(t, tr.cause.effects, tr)
				require.Same(t, u, tr.cause.unit)
				require.False(t, tr.waits)
			}
			if tr.pred != nil {
				require.Contains(t, tr.pred.succ, tr)
				require.Same(t, u, tr.pred.unit)
			}
		}
		require.Equal(t, sum, u.bytes)
		require.Equal(t, waiting, u.open)
		require.Equal(t, couplings, u.couplings)
		if u.state == opened {
			open++
		} else {
			residue += u.bytes
		}
		require.GreaterOrEqual(t, u.slot, 0)
		require.Same(t, u, b.clock.units[u.slot])
		require.LessOrEqual(t, u.ringsAt, u.due)
	}
	require.Equal(t, total, b.bytes)
	require.Equal(t, residue, b.residue)
	require.Equal(t, open, b.open.n)
	require.Len(t, b.clock.units, len(units))
	require.Equal(t, len(units)-open, b.closed.n)
	listed := 0
	for _, l := range b.story {
		listed += len(l)
	}
	require.Equal(t, slots, listed)
	for k, u := range b.units {
		require.Equal(t, k, u.key)
		require.True(t, units[u])
	}
}
