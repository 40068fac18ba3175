// Package trajectoryprocessor turns the spans of agents into trajectories: it
// waits until a trajectory is whole, assembles and scores it once, and hands it
// on as one span.
//
// Where to start to read: traces.ConsumeTraces sorts a request,
// internal/buffer waits, [assembler].tick hands out what is whole.
package trajectoryprocessor

//go:generate go tool mdatagen metadata.yaml
