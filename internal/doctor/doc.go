// Package doctor says what the telemetry of an agent shows, what it lacks, what
// that means for tracegrad, and what to switch on in the framework that emits
// it.
//
// Three steps, each pure: an [Exam] turns spans into trajectories, the way the
// collector does, and counts what they show ([Seen]); [Diagnose] turns the
// counts into [Findings]; [Findings.Write] tells them to a person. What is known
// of each framework is data: advice.yaml, a row for each instrumentation with
// its switches by their exact names. A switch stands there only if its
// documentation or its code was read.
package doctor
