package trajectoryprocessor

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// byGateway is the gateway's span of a call, in a trace of its own.
func byGateway(trace, span byte, of testSpan) testSpan {
	attrs := maps.Clone(of.attrs)
	maps.Copy(attrs, map[string]any{
		trajectory.AttrSource:         string(trajectory.SourceGateway),
		trajectory.AttrPromptTokenIDs: trajectory.PackIDs([]int32{7, 8, 9}),
		trajectory.AttrTokenIDs:       trajectory.PackIDs([]int32{1, 2}),
		trajectory.AttrLogprobs:       trajectory.PackLogprobs([]float32{-0.5, -1}),
		trajectory.AttrLogprobsMode:   "processed",
		trajectory.AttrConstrained:    false,
		"gen_ai.response.model":       "served",
		"gen_ai.agent.name":           "of the configuration",
	})
	return testSpan{trace: trace, span: span, service: "tracegrad-gateway", attrs: attrs}
}

// TestTokensOfAnotherTrace: what the gateway saw of a call in its trace is on
// the agent's step, in whatever order the two arrive, in one request or two, as
// long as nothing was handed out.
func TestTokensOfAnotherTrace(t *testing.T) {
	asked := chat(1, 2, 1)
	asked.attrs["gen_ai.response.id"] = "chatcmpl-1"
	gateway := byGateway(2, 9, asked)
	silent := chat(1, 2, 1) // an instrumentation that does not show the response's id
	for name, requests := range map[string][][]testSpan{
		"the gateway first":    {{gateway}, {asked, agent(1, 1, 0)}},
		"the agent first":      {{asked, agent(1, 1, 0)}, {gateway}},
		"in one request":       {{asked, gateway, agent(1, 1, 0)}},
		"sent again":           {{gateway}, {gateway, asked, agent(1, 1, 0)}, {gateway}},
		"by what was said":     {{gateway}, {silent, agent(1, 1, 0)}},
		"after the trajectory": {{asked, agent(1, 1, 0)}, nil, {gateway}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, defaults(), nopSettings(), nil)
				defer p.stop(t)
				for _, r := range requests {
					if r == nil {
						time.Sleep(10 * time.Second)
						continue
					}
					require.NoError(t, p.ConsumeTraces(t.Context(), request(r...)))
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()

				list := trajectories(t, p.sink.AllTraces())
				last := list[len(list)-1]
				for _, tr := range list {
					assert.Equal(t, last.ID, tr.ID, "one trajectory")
				}
				assert.Equal(t, trajectory.SourceSpans, last.Source)
				assert.Equal(t, trajectory.TokensCaptured, last.Tokens)
				assert.True(t, last.Trainable, last.Reasons)
				require.Equal(t, 1, last.ModelCalls)
				step := last.Steps[0]
				assert.Equal(t, "assistant", step.AgentName)
				assert.Equal(t, []int32{7, 8, 9}, step.Model.PromptTokenIDs)
				assert.Equal(t, []int32{1, 2}, step.Model.TokenIDs)
				assert.Equal(t, []float32{-0.5, -1}, step.Model.Logprobs)
				assert.Equal(t, "processed", step.Model.LogprobsMode)
				assert.Equal(t, "served", step.Model.ResponseModel)
			})
		})
	}
}
