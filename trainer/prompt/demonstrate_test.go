package prompt

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"Write to ann.lee@example.com today":                "Write to [email] today",
		"call +49 (151) 234-56789 now":                      "call [number] now",
		"card 4111 1111 1111 1111.":                         "card [number].",
		"DE89 3704 0044 0532 0130 00 is mine":               "[iban] is mine",
		"use sk-abcdefghijklmnop1234 or Bearer abc.def-123": "use [key] or [key]",
		"password: hunter2 and token=x":                     "[secret] and [secret]",
		"see https://a.example/?u=1 now":                    "see [url] now",
		"from 10.0.0.1 to 4":                                "from [ip] to 4",
		"id 123e4567-e89b-12d3-a456-426614174000":           "id [id]",
		"Order A-1042 costs 300.39 dollars. [ref:12ab]":     "Order A-1042 costs 300.39 dollars.",
		"": "",
	} {
		assert.Equal(t, want, Redact(in))
	}
}

func TestCandidatesAreTheBestOfTheirGroup(t *testing.T) {
	sample := func(id, group, bundle string, advantage float64) Sample {
		return Sample{Profile: Profile{ID: id, Bundle: bundle, Answered: true}, Group: group, Advantage: advantage}
	}
	got := Candidates([]Sample{
		sample("a", "g1", "", 0.5), sample("b", "g1", "", 0.7), sample("c", "g2", "", 0.9),
		sample("d", "g3", "bundle", 2), sample("e", "g4", "", -1),
	}, 4)
	var ids []string
	for _, s := range got {
		ids = append(ids, s.ID)
	}
	assert.Equal(t, []string{"c", "b"}, ids)
	assert.Len(t, Candidates([]Sample{sample("a", "g1", "", 1), sample("b", "g2", "", 1)}, 1), 1)
}

func TestDemonstrate(t *testing.T) {
	s := &Sample{Profile: Profile{ID: "a", Tenant: "acme"}, Group: "weather"}
	d, ok := Demonstrate(s, &trajectory.Trajectory{Input: "Weather? I am bo@example.com", Output: "Snow."})
	require.True(t, ok)
	assert.Equal(t, Demonstration{ID: "a", Task: "weather", Tenant: "acme", Input: "Weather? I am [email]", Output: "Snow."}, d)

	_, ok = Demonstrate(s, &trajectory.Trajectory{Input: "q", Output: "a", Messages: []trajectory.Message{{Injected: "g-1"}}})
	assert.False(t, ok, "injected text is never demonstrated")
	_, ok = Demonstrate(s, &trajectory.Trajectory{Input: "q", Output: string(make([]byte, maxDemonstration))})
	assert.False(t, ok)
}
