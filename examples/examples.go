// Package examples holds the configuration files that the demo runs and that
// tracegrad init writes, so that there is one of each.
package examples

import _ "embed"

// Collector is a Collector's configuration: OTLP and feedback in, a dataset out.
//
//go:embed quickstart/collector.yaml
var Collector []byte

// Rewards are the reward rules that Collector and trainer share.
//
//go:embed quickstart/rewards.yaml
var Rewards []byte

// Gateway is a second Collector's configuration: between agents and their
// model, it adds what was learned to the calls.
//
//go:embed quickstart/gateway.yaml
var Gateway []byte
