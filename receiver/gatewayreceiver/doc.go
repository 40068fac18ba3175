//go:generate go tool mdatagen metadata.yaml

// Package gatewayreceiver is an OpenAI-compatible endpoint between an agent and
// its model server. It passes every call through, adds what a bundle has
// learned, and emits one span a call.
//
// The way of a call: handler.go reads it and applies the bundles that labels.go
// has and split.go chooses, route.go sends it to an adapter, proxy.go passes it on,
// call.go watches the answer go by, record.go queues what was seen, span.go
// turns it into a span. Nothing of the telemetry stands in the way of the call:
// what cannot be queued is dropped and counted.
package gatewayreceiver
