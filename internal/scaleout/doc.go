// Package scaleout tests that several Collectors make of telemetry what one
// makes of it: behind a balancer and behind Kafka (docs/scale-out.md).
package scaleout
