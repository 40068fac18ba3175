package genai

import "github.com/tracegrad/tracegrad/internal/trajectory"

// A span and what it points to are allocated in one piece: open trajectories
// are many, and every piece costs when memory is walked.
type (
	modelRoom struct {
		span    trajectory.Span
		call    trajectory.Call
		numbers numbers
	}
	toolRoom struct {
		span trajectory.Span
		run  trajectory.ToolRun
	}

	// numbers are what the pointers of a call point to.
	numbers struct {
		input, output, cached, topK, maxTokens, seed int64
		temperature, topP                            float64
	}
)

// rooms are those of the spans that a decoder decoded.
type rooms struct {
	models slab[modelRoom]
	tools  slab[toolRoom]
	others slab[trajectory.Span]
}

func (r *rooms) reset() {
	r.models.reset()
	r.tools.reset()
	r.others.reset()
}

// newSpan is an empty span with the part that its role asks for, and the
// numbers of a model call.
func (r *rooms) newSpan(role trajectory.Role) (s *trajectory.Span, n *numbers) {
	switch role {
	case trajectory.RoleModelSpan:
		room := r.models.next(2)
		s = &room.span
		s.Call, n = &room.call, &room.numbers
	case trajectory.RoleToolSpan:
		room := r.tools.next(2)
		s = &room.span
		s.Tool = &room.run
	default:
		s = r.others.next(1)
	}
	s.Role = role
	return s, n
}

// before is what the span before said: the spans of a trajectory repeat it, and
// each brings a copy of its own.
type before struct {
	name, service, conversation, user, agent                       string
	provider, requestModel, responseModel, adapter, bundle, finish string
}

// again returns the text that was there before where s is the same.
func again(last *string, s string) string {
	if s == "" {
		return ""
	}
	if *last != s {
		*last = s
	}
	return *last
}
