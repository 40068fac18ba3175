// Package worker runs tracegrad's own training engine: one base model with LoRA
// adapters, on one machine, by torch and peft, behind the Tinker training
// protocol on loopback.
//
// The engine is Python. Its sources and the hashes of all it needs are embedded
// here: [Start] makes a virtual environment under the user's cache folder the
// first time (about 1.7 GB on a machine without a GPU), starts the server, waits
// until it serves, and stops it. It dies with the process that started it.
//
// What it speaks and what it computes is in docs/worker.md: the losses are sums
// over tokens, each multiplied with its weight; everything that normalises is the
// client's.
package worker
