package records

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// headBytes of a file decide what it is.
	headBytes = 64 << 10

	// A packed file that holds more than freeBytes may hold maxRatio times what
	// it takes on disk. Telemetry packs to a hundredth at best.
	freeBytes = 64 << 20
	maxRatio  = 1000

	// zstdWindow is the largest window of a packed file: what its unpacking
	// holds in memory.
	zstdWindow = 128 << 20
)

var (
	gzipMagic    = []byte{0x1f, 0x8b}
	zstdMagic    = []byte{0x28, 0xb5, 0x2f, 0xfd}
	parquetMagic = []byte("PAR1")
	utf8Mark     = []byte{0xef, 0xbb, 0xbf}
)

var errBomb = errors.New("unpacks to far more than telemetry does: not read any further")

// input is the unpacked content of a file.
type input struct {
	*bufio.Reader
	read *counter // what lies on disk

	buf, unpacked []byte        // of the record that is being read
	zstd          *zstd.Decoder // of single messages
	whole         *zstd.Decoder // of the file
}

func (in *input) close() {
	for _, d := range []*zstd.Decoder{in.zstd, in.whole} {
		if d != nil {
			d.Close()
		}
	}
}

// counter counts what is read.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// sane bounds what comes out by what went in.
type sane struct {
	in   io.Reader
	out  int64
	from *counter
}

func (s *sane) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.out += int64(n)
	if s.out > freeBytes && s.out/maxRatio > s.from.n {
		return n, errBomb
	}
	return n, err
}

func unpack(r io.Reader) (*input, error) {
	read := &counter{in: r}
	in := &input{Reader: bufio.NewReaderSize(read, headBytes), read: read}
	head, _ := in.Peek(len(zstdMagic))
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		zr, err := gzip.NewReader(in.Reader)
		if err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", err)
		}
		in.Reader = bufio.NewReaderSize(&sane{in: zr, from: read}, headBytes)
	case bytes.HasPrefix(head, zstdMagic):
		zr, err := zstd.NewReader(in.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, fmt.Errorf("unpack zstd: %w", err)
		}
		in.Reader, in.whole = bufio.NewReaderSize(&sane{in: zr, from: read}, headBytes), zr
	}
	if head, _ := in.Peek(len(utf8Mark)); bytes.Equal(head, utf8Mark) {
		_, _ = in.Discard(len(utf8Mark)) // was peeked
	}
	return in, nil
}
