package trajectory

import "encoding/hex"

// TraceID is OTel's trace id; the zero value is "none".
type TraceID [16]byte

// SpanID is OTel's span id; the zero value is "none".
type SpanID [8]byte

// String is lower-case hex, "" for the zero id.
func (id TraceID) String() string {
	if id == (TraceID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// String is lower-case hex, "" for the zero id.
func (id SpanID) String() string {
	if id == (SpanID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// hexed keeps the text of the last trace id: most trajectories have one.
type hexed struct {
	id   TraceID
	text string
}

func (h *hexed) trace(id TraceID) string {
	if h.text == "" || h.id != id {
		h.id, h.text = id, id.String()
	}
	return h.text
}

// Role says what a span is to a trajectory.
type Role uint8

// The roles of spans.
const (
	RoleOther     Role = iota // structure only: HTTP servers, graph nodes, anything without a GenAI role
	RoleAgentSpan             // an agent, a workflow, or a framework call that wraps several model calls
	RoleModelSpan             // one model call
	RoleToolSpan              // one tool run
)

// Span is one decoded span: what the dialect tables could read, in one shape.
// Messages are shared between spans and must not be mutated. A field that is
// added is added to internal/pack too.
type Span struct {
	TraceID  TraceID
	SpanID   SpanID
	ParentID SpanID
	Name     string
	Start    int64 // ns since the epoch
	End      int64 // ns; 0 = not ended
	Role     Role
	GenAI    bool  // carries a GenAI marker of any dialect
	Remote   bool  // the parent is in another process
	Link     *Link // of a root: the span of another trace that it goes on from; nil = none
	Dialect  string

	Service      string
	Conversation string
	User         string
	Tenant       string
	Rollout      string // explicit rollout id
	Previous     string // id of the response that the request goes on from: the server holds what came before it
	TaskKey      string // value of the configured task attribute
	Agent        string // agent named by this span
	Error        string // status message, exception or error type; "" = no error
	Record       Record // a log record: what it says belongs to the span ParentID, see Join
	Order        int    // of a record among those of its span, from 1; 0 = unknown
	Records      uint64 // sum of hashes of the records that were joined
	Graph        uint8  // graphs that it runs in, itself included where it is one; 0 = not a part of any
	Judge        bool   // judges the agent; so do the calls below it
	Gateway      bool   // emitted by our gateway
	Injected     string // JSON array: what the gateway added to the prompt
	Missing      []Reason
	Attributes   map[string]string // allow-listed
	Harness                        // what coding agents say beside the conventions

	Call  *Call    // model spans; agent spans: the loop of calls that they are; others: a piece of the reply of the call above
	Tool  *ToolRun // tool spans
	Facts []Fact   // evaluations on the span
	In    string   // plain input an agent or workflow span shows
	Out   string   // plain output an agent or workflow span shows
	Size  int      // bytes held, for the caps
	Seq   uint64   // arrival order
}

// Link is what the root of a trace says of the span of another trace that led
// to it.
type Link struct {
	TraceID TraceID
	SpanID  SpanID
	Message bool // a message went from there to here: the one sends or takes it, as OTel's messaging conventions say
}

// LedBy says whether a span that the root s links to led to it: s takes up its
// message, or is work that a tool run began or that was begun while the span
// went on. A run that is over is another one (the turn before).
func (s *Span) LedBy(by *Span) bool {
	switch {
	case s.Link.Message:
		return true
	case by.Role == RoleToolSpan:
		return by.Start <= s.Start
	}
	return by.Start <= s.Start && (by.End == 0 || s.Start <= by.End)
}

// Harness is what the telemetry of agent harnesses (coding agents and the like)
// says of a span or record by ids of its own.
type Harness struct {
	Turn    string // the user's turn that it works on
	AgentID string // which agent it works for; "" = the main one, or unknown
	Main    bool   // it works for the agent that the user talks to
	Part    bool   // it works for an agent that another one started
	Request string // the client's id for the request of a model call
	Starts  string // of a tool run: the agent that it starts
	Reports string // id of the tool call whose late outcome an agent span's input tells
	Relay   bool   // of a tool run: how it is reached (an MCP span), shown beside the run itself
	Piece   bool   // its trace is a piece of its session, whatever its root
	Hosts   bool   // records that name its session alone, and traces that report to it, may belong to its trace
	Told    bool   // there is no such span: a record stands for it
	Session bool   // of a record: it names no trace, TraceID stands for its session
}

// Call is the model call that a span shows.
type Call struct {
	ModelCall            // Input, Output unused: see Prompt and Reply
	Prompt    []*Message // nil = not shown
	Reply     []*Message // nil = not shown
	Apart     bool       // the instructions of Prompt were sent apart from its messages
	Fetched   bool       // the response to a call that was made before was fetched
	Unordered bool       // nothing tells the order of Prompt but this one call
	Outline   bool       // Prompt tells who spoke and which tools were run, not all that was said
}
