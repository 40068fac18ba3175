package genai

import (
	"hash/maphash"
	"slices"
	"strings"
)

// Shared is what the decoders of many trajectories have in common: the
// definitions of tools, which are long and the same in every run of an agent.
// It is bounded, and not safe for concurrent use.
type Shared struct {
	tools map[uint64]definitions
	size  int
}

func (d *Decoder) shared() *Shared {
	if d.opt.Shared == nil {
		d.opt.Shared = &Shared{}
	}
	return d.opt.Shared
}

// definitions are tool definitions that were checked.
type definitions struct {
	parts []string // as they came
	text  string   // a JSON array, "" where none is JSON
}

// maxShared bounds the bytes of definitions; beyond it all are forgotten.
const maxShared = 4 << 20

// toolList returns tool definitions as one JSON array of those that are JSON.
func (s *Shared) toolList(parts []string) string {
	hash := uint64(len(parts))
	for _, p := range parts {
		hash = hash*0x9E3779B97F4A7C15 ^ maphash.String(seed, p)
	}
	if d, ok := s.tools[hash]; ok && slices.Equal(d.parts, parts) {
		return d.text
	}
	good := make([]string, 0, len(parts))
	for _, p := range parts {
		if valid(p) {
			good = append(good, p)
		}
	}
	d := definitions{parts: slices.Clone(parts)}
	if len(good) > 0 {
		d.text = "[" + strings.Join(good, ",") + "]"
	}
	s.keep(hash, d)
	return d.text
}

// toolArray returns a JSON array of tool definitions, "" for anything else.
func (s *Shared) toolArray(raw string) string {
	hash := maphash.String(seed, raw)
	if d, ok := s.tools[hash]; ok && len(d.parts) == 1 && d.parts[0] == raw {
		return d.text
	}
	d := definitions{parts: []string{raw}}
	if strings.HasPrefix(raw, "[") && valid(raw) {
		d.text = declared(raw)
	}
	s.keep(hash, d)
	return d.text
}

func (s *Shared) keep(hash uint64, d definitions) {
	size := 2*len(d.text) + 256
	if s.tools == nil || s.size+size > maxShared {
		s.tools, s.size = map[uint64]definitions{}, 0
	}
	s.tools[hash] = d
	s.size += size
}

// declared is a list of tools with the functions that Gemini's form groups as
// elements of their own.
func declared(raw string) string {
	if !strings.Contains(raw, "unctionDeclarations\"") && !strings.Contains(raw, "unction_declarations\"") {
		return raw
	}
	var out []string
	c := scanner{s: raw}
	for more := c.enter('['); more; more = c.next(']') {
		tool := c.value()
		list := scanner{s: tool.first("functionDeclarations", "function_declarations").raw}
		if list.peek() != '[' {
			out = append(out, tool.raw)
			continue
		}
		for more := list.enter('['); more; more = list.next(']') {
			out = append(out, list.value().raw)
		}
	}
	return "[" + strings.Join(out, ",") + "]"
}
