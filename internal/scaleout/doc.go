// Package scaleout tests that several Collectors make of telemetry what one
// makes of it, behind a balancer and behind Kafka, and that Spark makes of a
// dataset what tracegrad sql makes of it (docs/scale-out.md).
package scaleout
