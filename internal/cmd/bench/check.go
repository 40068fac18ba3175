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

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// counted are the columns that tell whether a trajectory is whole.
type counted struct {
	ID         string `parquet:"trajectory_id"`
	Revision   int64  `parquet:"revision"`
	SpanCount  int32  `parquet:"span_count"`
	ModelCalls int32  `parquet:"model_calls"`
	ToolCalls  int32  `parquet:"tool_calls"`
	Trainable  bool   `parquet:"trainable"`
}

func (l *lab) whole(t counted) bool {
	s := l.shape
	return int(t.SpanCount) == s.Spans() && int(t.ModelCalls) == s.Calls && int(t.ToolCalls) == s.ToolRuns() && t.Trainable
}

// checkDataset says whether a dataset holds every trajectory that was sent, whole
// in its newest revision, with all its steps. Where nothing comes late there is one.
func (l *lab) checkDataset(out string) error {
	if l.delivered != nil {
		return l.delivered.finish()
	}
	newest := map[string]counted{}
	rows, err := eachFile(out, dataset.TableTrajectories, func(path string) (int64, error) {
		list, err := parquet.ReadFile[counted](path)
		for _, t := range list {
			if t.Revision >= newest[t.ID].Revision {
				newest[t.ID] = t
			}
		}
		return int64(len(list)), err
	})
	if err != nil {
		return err
	}
	for _, t := range newest {
		if !l.whole(t) {
			return fmt.Errorf("a trajectory is not whole: %+v", t)
		}
	}
	if len(newest) != l.trajectories() || rows != int64(l.trajectories()) && !l.shape.Late {
		return fmt.Errorf("the dataset has %d rows of %d trajectories, want %d", rows, len(newest), l.trajectories())
	}
	steps, err := eachFile(out, dataset.TableSteps, rowsOf)
	if want := rows * int64(l.shape.Calls+l.shape.ToolRuns()); err == nil && steps != want {
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
