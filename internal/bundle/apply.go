package bundle

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Target is what is known of a request beside its body.
type Target struct {
	// Agents are the names under which the caller is known: agent, service.
	Agents []string
	// Task is the label of the request's task; empty = unknown.
	Task string
	// Tenant selects demonstrations; they are shown to their own tenant only.
	Tenant string
	// Demonstrations asks for demonstrations; without it only guidance is shown.
	Demonstrations bool
}

// Skip says why a request was left as it was. The values are part of the
// gateway's metrics.
type Skip string

// The reasons to leave a request as it was.
const (
	SkipNone       Skip = ""            // it was not: the bundle was applied
	SkipEmpty      Skip = "empty"       // the bundle shows this target nothing
	SkipAgent      Skip = "agent"       // it is for other agents
	SkipModel      Skip = "model"       // it is for another model
	SkipPresent    Skip = "present"     // the request already carries its section
	SkipNoMessages Skip = "no_messages" // nothing to add to; the upstream says what is wrong
	SkipAmbiguous  Skip = "ambiguous"   // a key is repeated, readers differ in which one counts
	SkipContent    Skip = "content"     // the leading message's content is neither text nor parts
)

// Placement says how text was added.
type Placement string

// The placements.
const (
	PlacementAppend Placement = "append" // to the end of an existing text
	PlacementPart   Placement = "part"   // as a new last part of an existing message
	PlacementInsert Placement = "insert" // as a message of its own
)

// Injection is one piece of text that the model saw beyond what the agent sent.
// Its JSON form is an element of the span attribute tracegrad.injected.
type Injection struct {
	Bundle    string    `json:"bundle"`
	Items     []string  `json:"items"`   // ids of the items and demonstrations shown
	Message   int       `json:"message"` // index in the messages as the model received them
	Placement Placement `json:"placement"`
	Text      string    `json:"text"` // exactly what was added
}

// Applied is the outcome of [Bundle.Apply].
type Applied struct {
	// Body is what to send. It is the given slice itself unless Skip is empty.
	Body []byte
	// Injected is what was added, in order; empty unless Skip is empty.
	Injected []Injection
	Skip     Skip
}

// Apply adds the bundle's text to the body of an OpenAI chat-completions
// request, as one delimited section: at the end of the leading message if that
// is a system or developer message, else as a new system message at index 0.
// Every other byte stays: output = input with one run of bytes inserted.
//
// A body that is not JSON is an error, and is returned as it was. Apply keeps no
// reference to body and changes nothing in it.
func (b *Bundle) Apply(body []byte, t Target) (Applied, error) {
	skip := func(why Skip) (Applied, error) { return Applied{Body: body, Skip: why}, nil }
	if b.Prompt == nil || len(b.Prompt.Items)+len(b.Prompt.Demonstrations) == 0 {
		return skip(SkipEmpty)
	}
	s := &scanner{text: body}
	req, why, err := s.request()
	switch {
	case err != nil:
		return Applied{Body: body}, err
	case why != SkipNone:
		return skip(why)
	case len(b.Manifest.Agents) > 0 && !overlap(b.Manifest.Agents, t.Agents):
		return skip(SkipAgent)
	case b.Manifest.BaseModel != "" && b.Manifest.BaseModel != req.model:
		return skip(SkipModel)
	}
	text, ids := b.section(t)
	if len(ids) == 0 {
		return skip(SkipEmpty)
	}
	lead, why := s.leading(req.first)
	switch {
	case why != SkipNone:
		return skip(why)
	case lead.instructs && strings.Contains(lead.text, b.open):
		return skip(SkipPresent)
	}
	at, insert, in := lead.edit(text)
	in.Bundle, in.Items = b.ID(), ids
	return Applied{Body: slices.Concat(body[:at], insert, body[at:]), Injected: []Injection{in}}, nil
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// request is what Apply needs of a body.
type request struct {
	model string
	first span // messages[0]
}

// request scans the whole body, so that nothing is added to broken JSON.
func (s *scanner) request() (r request, why Skip, err error) {
	doc, err := s.document()
	if err != nil {
		return r, "", err
	}
	if s.at(doc.from) != '{' {
		return r, SkipNoMessages, nil
	}
	var model, messages span
	if why := s.pick(doc.from, map[string]*span{"model": &model, "messages": &messages}); why != SkipNone {
		return r, why, nil
	}
	if s.at(messages.from) != '[' || messages.to == 0 {
		return r, SkipNoMessages, nil
	}
	first := s.space(messages.from + 1)
	if s.at(first) != '{' {
		return r, SkipNoMessages, nil
	}
	r.first.from = first
	if r.first.to, err = s.value(first); err != nil {
		return r, "", err
	}
	if model.to > 0 {
		r.model, _ = s.unquote(model)
	}
	return r, SkipNone, nil
}

// pick finds members of the object at i by name. The object is known to be
// valid.
func (s *scanner) pick(i int, want map[string]*span) (why Skip) {
	_, err := s.members(i, func(key, value span) {
		name := s.text[key.from+1 : key.to-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			text, _ := s.unquote(key)
			name = []byte(text)
		}
		place := want[string(name)]
		switch {
		case place == nil:
		case place.to != 0:
			why = SkipAmbiguous
		default:
			*place = value
		}
	})
	if err != nil { // the document was scanned before
		panic("internal error: " + err.Error())
	}
	return why
}

// leading is the first message and where text can be added to it.
type leading struct {
	at        int  // place of the message
	instructs bool // it is a system or developer message
	placement Placement
	end       int    // where text goes: before the closing quote, after the last part
	empty     bool   // there is no text, or no part, before end
	text      string // the message's text, all parts
}

func (s *scanner) leading(m span) (leading, Skip) {
	l := leading{at: m.from}
	var role, content span
	if why := s.pick(m.from, map[string]*span{"role": &role, "content": &content}); why != SkipNone {
		return l, why
	}
	if name, _ := s.unquote(role); role.to == 0 || (name != "system" && name != "developer") {
		return l, SkipNone
	}
	l.instructs = true
	switch {
	case content.to != 0 && s.at(content.from) == '"':
		l.placement, l.end, l.empty = PlacementAppend, content.to-1, content.to-content.from == 2
		l.text, _ = s.unquote(content)
		return l, SkipNone
	case content.to != 0 && s.at(content.from) == '[':
		return s.leadingParts(l, content)
	}
	return l, SkipContent
}

func (s *scanner) leadingParts(l leading, content span) (leading, Skip) {
	l.placement, l.end, l.empty = PlacementPart, content.from+1, true
	why := SkipNone
	_, err := s.elements(content.from, func(part span) {
		l.end, l.empty = part.to, false
		if s.at(part.from) != '{' {
			why = SkipContent
			return
		}
		var text span
		if dup := s.pick(part.from, map[string]*span{"text": &text}); dup != SkipNone {
			why = dup
		}
		if part, ok := s.unquote(text); text.to != 0 && ok {
			l.text += part + "\n"
		}
	})
	if err != nil { // the document was scanned before
		panic("internal error: " + err.Error())
	}
	return l, why
}

// edit is the run of bytes to insert and what it adds.
func (l leading) edit(section string) (at int, insert []byte, in Injection) {
	switch {
	case l.instructs && l.placement == PlacementAppend:
		if !l.empty {
			section = "\n\n" + section
		}
		quoted := quote(section)
		return l.end, quoted[1 : len(quoted)-1], Injection{Placement: PlacementAppend, Text: section}
	case l.instructs:
		part := slices.Concat([]byte(`{"type":"text","text":`), quote(section), []byte("}"))
		if !l.empty {
			part = append([]byte{','}, part...)
		}
		return l.end, part, Injection{Placement: PlacementPart, Text: section}
	}
	message := slices.Concat([]byte(`{"role":"system","content":`), quote(section), []byte("},"))
	return l.at, message, Injection{Placement: PlacementInsert, Text: section}
}

// quote is s as a JSON string, "<" left readable.
func quote(s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // strings always marshal
		panic("internal error: " + err.Error())
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
