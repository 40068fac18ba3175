package parquetexporter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
)

// sink is what the exporters of one component share: the Collector builds one
// for each signal, but a dataset has one writer of a name.
type sink struct {
	cfg *Config
	id  component.ID

	mu         sync.Mutex
	users      int // exporters that were made and not shut down
	writer     *dataset.Writer
	quarantine *quarantine
}

// The Collector gives all signals of a component the same config.
var sinks = struct {
	sync.Mutex
	of map[*Config]*sink
}{of: map[*Config]*sink{}}

func sinkOf(cfg *Config, id component.ID) *sink {
	sinks.Lock()
	defer sinks.Unlock()
	s := sinks.of[cfg]
	if s == nil {
		s = &sink{cfg: cfg, id: id}
		sinks.of[cfg] = s
	}
	s.users++
	return s
}

// start opens the dataset for the first of its users.
func (s *sink) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer != nil {
		return nil
	}
	name, err := s.writerName()
	if err != nil {
		return err
	}
	w, err := bucket.NewWriter(ctx, s.cfg.Directory, name, dataset.Options{})
	if err != nil {
		return err
	}
	q, err := openQuarantine(ctx, s.cfg.Directory, w.Name(), s.cfg.Quarantine.MaxBytes)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	s.writer, s.quarantine = w, q
	return nil
}

func (s *sink) writerName() (string, error) {
	if s.cfg.Writer != "" {
		return s.cfg.Writer, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name the writer: set `writer`, for this host has no name: %w", err)
	}
	if s.id.Name() != "" {
		host += "-" + s.id.Name()
	}
	return host, nil
}

func (s *sink) open() (*dataset.Writer, *quarantine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer, s.quarantine
}

// release closes the dataset after the last of its users.
func (s *sink) release() error {
	sinks.Lock()
	s.users--
	last := s.users == 0
	if last {
		delete(sinks.of, s.cfg)
	}
	sinks.Unlock()
	if !last {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		return nil
	}
	err := errors.Join(s.writer.Close(), s.quarantine.close())
	s.writer, s.quarantine = nil, nil
	return err
}
