package backfill

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/records"
)

// A run is a file of sorted pieces, zstd: the traces that are marked in it, and
// the pieces, each with its time, signal and length. It is of this version of
// the program only, and written in one go: under its name it is whole.
const runMagic = "tracegrad run 1\n"

// runWindow is what reading one run holds in memory, roughly twice: there may
// be hundreds.
const runWindow = 256 << 10

func writeRun(dir string, number int, marks []uint64, pieces []piece) (name string, err error) {
	name = fmt.Sprintf("run-%05d.zst", number)
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return "", fmt.Errorf("write run: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write run: %w", err), f.Close(), os.Remove(f.Name()))
		}
	}()
	zw, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(runWindow))
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(zw, 64<<10)
	b := binary.AppendUvarint([]byte(runMagic), uint64(len(marks)))
	for _, m := range marks {
		b = binary.LittleEndian.AppendUint64(b, m)
	}
	_, _ = w.Write(b) // Flush says what went wrong
	for _, p := range pieces {
		b = binary.AppendVarint(b[:0], p.at)
		b = binary.AppendUvarint(append(b, byte(p.signal)), uint64(len(p.data)))
		_, _ = w.Write(b)
		_, _ = w.Write(p.data)
	}
	if err := errors.Join(w.Flush(), zw.Close(), f.Sync()); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return name, os.Rename(f.Name(), filepath.Join(dir, name))
}

type run struct {
	name string
	file *os.File
	zr   *zstd.Decoder
	in   *bufio.Reader
	data []byte

	marks []uint64
}

func openRun(dir, name string) (*run, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	r := &run{name: name, file: f}
	if r.zr, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err != nil {
		return nil, errors.Join(r.broken(err), r.close())
	}
	r.in = bufio.NewReaderSize(r.zr, 64<<10)
	if err := r.head(); err != nil {
		return nil, errors.Join(r.broken(err), r.close())
	}
	return r, nil
}

func (r *run) head() error {
	magic := make([]byte, len(runMagic))
	if _, err := io.ReadFull(r.in, magic); err != nil {
		return err
	}
	if string(magic) != runMagic {
		return errors.New("it was written by another version")
	}
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	var b [8]byte
	for range n {
		if _, err := io.ReadFull(r.in, b[:]); err != nil {
			return err
		}
		r.marks = append(r.marks, binary.LittleEndian.Uint64(b[:]))
	}
	return nil
}

// next returns the next piece; its data is valid until the next call.
func (r *run) next() (piece, error) {
	at, err := binary.ReadVarint(r.in)
	if errors.Is(err, io.EOF) {
		return piece{}, io.EOF
	}
	p := piece{at: at}
	if err == nil {
		p.signal, p.data, err = r.body()
	}
	if err != nil {
		return piece{}, r.broken(err)
	}
	return p, nil
}

func (r *run) body() (otlp.Signal, []byte, error) {
	signal, err := r.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return 0, nil, err
	}
	if n > 2*records.MaxBytes {
		return 0, nil, fmt.Errorf("a piece of %d bytes", n)
	}
	if uint64(cap(r.data)) < n {
		r.data = make([]byte, n)
	}
	r.data = r.data[:n]
	_, err = io.ReadFull(r.in, r.data)
	return otlp.Signal(signal), r.data, err
}

func (r *run) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read run %s: %w", r.file.Name(), err)
}

func (r *run) close() error {
	if r.zr != nil {
		r.zr.Close()
	}
	return r.file.Close()
}
