package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/dataset"
)

// counted are the columns that tell whether a trajectory is whole.
type counted struct {
	ID         string `parquet:"trajectory_id"`
	SpanCount  int32  `parquet:"span_count"`
	ModelCalls int32  `parquet:"model_calls"`
	ToolCalls  int32  `parquet:"tool_calls"`
	Trainable  bool   `parquet:"trainable"`
}

// checkDataset says whether a dataset holds every trajectory that was sent,
// once and whole, with all its steps.
func (l *lab) checkDataset(out string) error {
	seen := map[string]bool{}
	rows, err := eachFile(out, dataset.TableTrajectories, func(path string) (int64, error) {
		list, err := parquet.ReadFile[counted](path)
		for _, t := range list {
			if t.SpanCount != load.SpansPerTrace || t.ModelCalls != load.ModelCalls || t.ToolCalls != load.ToolRuns || !t.Trainable {
				return 0, fmt.Errorf("%s: a trajectory is not whole: %+v", path, t)
			}
			seen[t.ID] = true
		}
		return int64(len(list)), err
	})
	if err != nil {
		return err
	}
	if rows != int64(l.trajectories()) || len(seen) != l.trajectories() {
		return fmt.Errorf("the dataset has %d trajectories, %d different ones, want %d", rows, len(seen), l.trajectories())
	}
	steps, err := eachFile(out, dataset.TableSteps, rowsOf)
	if want := int64(l.trajectories() * (load.ModelCalls + load.ToolRuns)); err == nil && steps != want {
		err = fmt.Errorf("the dataset has %d steps, want %d", steps, want)
	}
	return err
}

// eachFile adds up what visit says of the files of a table.
func eachFile(root, table string, visit func(path string) (int64, error)) (sum int64, err error) {
	files, err := filepath.Glob(filepath.Join(root, "v*", table, "*", "*.parquet"))
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		n, err := visit(f)
		if err != nil {
			return 0, fmt.Errorf("check %s: %w", f, err)
		}
		sum += n
	}
	return sum, nil
}

func rowsOf(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	p, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return 0, err
	}
	return p.NumRows(), nil
}

// checkFile counts the spans in what the file exporter wrote: messages, each
// behind its length, each compressed by itself.
func (l *lab) checkFile(out string) error {
	f, err := os.Open(filepath.Join(out, "spans"))
	if err != nil {
		return err
	}
	defer f.Close()
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer unpack.Close()
	spans, in, body := 0, bufio.NewReader(f), []byte(nil)
	for {
		var size uint32
		if err := binary.Read(in, binary.BigEndian, &size); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("check %s: %w", f.Name(), err)
		}
		packed := make([]byte, size)
		if _, err := io.ReadFull(in, packed); err != nil {
			return fmt.Errorf("check %s: %w", f.Name(), err)
		}
		if body, err = unpack.DecodeAll(packed, body[:0]); err != nil {
			return fmt.Errorf("check %s: %w", f.Name(), err)
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		if err != nil {
			return fmt.Errorf("check %s: %w", f.Name(), err)
		}
		spans += td.SpanCount()
	}
	if spans != l.spans() {
		return fmt.Errorf("%s has %d spans, want %d", f.Name(), spans, l.spans())
	}
	return nil
}
