package gatewayreceiver

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/tidwall/gjson"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

// served is a bundle and the label that named it, which may be none.
type served struct {
	bundle *bundle.Bundle
	label  string
}

// choose is the bundle of a call: the canary's for its share of the keys. The
// nil bundle = none. Without a canary's bundle all calls are production's.
func (f *follower) choose(key func() string) served {
	if canary := f.canary.current.Load(); canary != nil {
		if k := key(); k != "" && position(k) < f.cfg.CanaryPercent {
			return served{canary, f.canary.label}
		}
	}
	return served{f.production.current.Load(), f.production.label}
}

// position is a key's place in [0, 100): the first 8 bytes of its SHA-256, as a
// fraction of 2^64. Keys below the canary's percentage are the canary's, so that a
// larger percentage keeps those that a smaller one had.
func position(key string) float64 {
	sum := sha256.Sum256([]byte(key))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53) * 100
}

// stickyKey is what keeps a conversation on one side of the split: its id where
// the agent tells it, else the trace that the call is part of, else its first
// user message. Empty = there is none of them.
func stickyKey(c *call, body []byte) string {
	switch {
	case c.conversation != "":
		return c.conversation
	case !c.trace.parent.IsEmpty():
		return c.trace.trace.String()
	}
	return firstUserMessage(body)
}

// firstUserMessage is the content of the first message whose role is user: its
// text, or the JSON of its parts.
func firstUserMessage(body []byte) (content string) {
	if !gjson.ValidBytes(body) {
		return ""
	}
	gjson.GetBytes(body, "messages").ForEach(func(_, m gjson.Result) bool {
		if m.Get("role").Str != "user" {
			return true
		}
		content = m.Get("content").String()
		return false
	})
	return content
}

// percentage says whether p is one.
func percentage(p float64) bool { return !math.IsNaN(p) && p >= 0 && p <= 100 }
