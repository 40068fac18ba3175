//go:generate go tool mdatagen metadata.yaml

// Package parquetexporter writes trajectories and facts into a dataset of
// Parquet files (docs/dataset.md).
//
// One batch of the sending queue becomes one committed file set. The exporter
// holds no logic of its own: it takes finished trajectories out of spans
// ([collect]), facts out of log records ([readFacts]), and hands them to internal/dataset.
package parquetexporter
