package main

import (
	_ "embed"
	"strings"
)

//go:embed config.yaml
var config []byte

//go:embed stock-config.yaml
var stockConfig []byte

// pipeline is one thing that is measured.
type pipeline struct {
	ID         string // a letter, and a number for pipelines of ordinary spans
	Name       string
	Base       string // ID of the pipeline that it is compared with
	processors string // YAML lists
	exporters  string
	extensions string // besides the health check; "" = none
	ordinary   bool
	stock      bool                     // run by a Collector of stock components only: see stock.yaml
	check      func(*lab, string) error // of what was written to a folder; nil = nothing is
}

func (p pipeline) assembles() bool {
	return strings.HasPrefix(p.processors, "[trajectory") && !p.ordinary
}

var pipelines = []pipeline{
	{ID: "a", Base: "a", Name: "otlp → nop", processors: "[]", exporters: "[nop]"},
	{ID: "b", Base: "a", Name: "otlp → trajectory → nop", processors: "[trajectory]", exporters: "[nop]"},
	{ID: "c", Base: "a", Name: "otlp → trajectory → parquet", processors: "[trajectory]", exporters: "[parquet]", check: (*lab).checkDataset},
	{
		ID: "cs", Base: "c", Name: "the same with storage", processors: "[trajectory/durable]", exporters: "[parquet/durable]", extensions: ", file_storage",
		check: (*lab).checkDataset,
	},
	{ID: "d", Base: "a", Name: "otlp → batch → file (proto, zstd)", processors: "[batch]", exporters: "[file]", check: (*lab).checkFile},
	{ID: "f", Base: "a", Name: "otlp → groupbytrace → batch → file (proto, zstd)", processors: "[groupbytrace, batch]", exporters: "[file]", check: (*lab).checkFile, stock: true},
	{ID: "e0", Base: "e0", Name: "ordinary: otlp → nop", processors: "[]", exporters: "[nop]", ordinary: true},
	{ID: "e1", Base: "e0", Name: "ordinary: otlp → trajectory → nop", processors: "[trajectory]", exporters: "[nop]", ordinary: true},
}
