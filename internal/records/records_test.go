package records

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite what the cases in testdata expect")

// TestCases reads the file `in` of every case; `want` has a line a record.
// A comment line `skip N` begins after N records, `most N` makes N bytes the
// most for a record, and every other is what the case shows.
func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			c, err := txtar.ParseFile(path)
			require.NoError(t, err)
			skip, most := 0, MaxBytes
			for line := range strings.Lines(string(c.Comment)) {
				_, _ = fmt.Sscanf(line, "skip %d", &skip)
				_, _ = fmt.Sscanf(line, "most %d", &most)
			}
			in := strings.TrimSuffix(string(c.Files[0].Data), "\n")
			got := describe(read("in", strings.NewReader(in), skip, most))
			if *update {
				c.Files = append(c.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
				require.NoError(t, os.WriteFile(path, txtar.Format(c), 0o644))
				return
			}
			require.Len(t, c.Files, 2)
			assert.Equal(t, string(c.Files[1].Data), got)
		})
	}
}

func describe(seq Seq) string {
	var b strings.Builder
	for r, err := range seq {
		switch {
		case err != nil:
			fmt.Fprintf(&b, "%d error: %v\n", r.Number, err)
		case r.Data == nil:
			fmt.Fprintf(&b, "%d %s skipped\n", r.Number, r.Where())
		default:
			fmt.Fprintf(&b, "%d %s %q\n", r.Number, r.Where(), r.Data)
		}
	}
	return b.String()
}

func framed(messages ...[]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = binary.BigEndian.AppendUint32(out, uint32(len(m)))
		out = append(out, m...)
	}
	return out
}

func zstded(t testing.TB, b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return w.EncodeAll(b, nil)
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// request is an export request of one span in protobuf: field 1, in it a
// resource and a scope.
var request = []byte{0x0a, 0x0e, 0x0a, 0x04, 0x0a, 0x02, 0x0a, 0x00, 0x12, 0x06, 0x12, 0x04, 0x2a, 0x02, 'h', 'i'}

func TestBinary(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"one message":          {request, fmt.Sprintf("1 in: byte 0 %q\n", request)},
		"messages":             {framed(request, request), fmt.Sprintf("1 in: byte 4 %q\n2 in: byte 24 %[1]q\n", request)},
		"none":                 {nil, ""},
		"packed messages":      {framed(zstded(t, request), zstded(t, []byte(`{"a":1}`))), fmt.Sprintf("1 in: byte 4 %q\n2 in: byte %d %q\n", request, 8+len(zstded(t, request)), `{"a":1}`)},
		"gzip of messages":     {gzipped(t, framed(request)), fmt.Sprintf("1 in: byte 4 %q\n", request)},
		"zstd of lines":        {zstded(t, []byte("{}\n{}\n")), "1 in:1 \"{}\"\n2 in:2 \"{}\"\n"},
		"zstd of two frames":   {append(zstded(t, []byte("{}\n")), zstded(t, []byte("{}\n"))...), "1 in:1 \"{}\"\n2 in:2 \"{}\"\n"},
		"a message cut":        {framed(request, request)[:30], fmt.Sprintf("1 in: byte 4 %q\n2 error: read in: byte 24: the message is cut: unexpected EOF\n", request)},
		"a length cut":         {framed(request, request)[:22], fmt.Sprintf("1 in: byte 4 %q\n2 error: read in: byte 20: the length of a message is cut: unexpected EOF\n", request)},
		"a length that is not": {append(framed(request), 0xff, 0xff, 0xff, 0xff, 1), fmt.Sprintf("1 in: byte 4 %q\n2 error: read in: byte 24: message too long: 4294967295 bytes, or this is not the length of one\n", request)},
		"a bad packed message": {framed(append(bytes.Clone(zstdMagic), 1, 2), request), fmt.Sprintf("1 error: in: byte 4: unpack zstd: unexpected EOF\n2 in: byte 14 %q\n", request)},
		"parquet":              {[]byte("PAR1\x15\x04"), "0 error: read in: not a known format here: a Parquet file (tracegrad import reads those of ClickHouse and Phoenix)\n"},
		"neither":              {[]byte("MZ\x90\x00\x03\x00"), "0 error: read in: not a known format: neither JSON nor OTLP protobuf, plain or packed with gzip or zstd\n"},
		"gzip cut":             {gzipped(t, []byte("{}\n"))[:14], "1 error: read in: byte 0: unexpected EOF\n"},
		"gzip of nothing":      {gzipped(t, nil), ""},
		"a byte order mark":    {append(bytes.Clone(utf8Mark), "{}"...), "1 in:1 \"{}\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, describe(Read("in", bytes.NewReader(c.in), 0)))
		})
	}
}

func TestABombIsNotUnpacked(t *testing.T) {
	s := &sane{in: zeros{}, from: &counter{n: 1 << 10}}
	var err error
	for err == nil {
		_, err = s.Read(make([]byte, 1<<20))
	}
	assert.ErrorIs(t, err, errBomb)
	assert.LessOrEqual(t, s.out, int64(freeBytes+2<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestFilesGoesOn(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	require.NoError(t, os.WriteFile(good, []byte("{}\n{}"), 0o600))
	var errs []error
	n := 0
	for _, err := range Files(filepath.Join(dir, "none"), good) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if n++; n == 1 {
			continue
		}
		break
	}
	require.Len(t, errs, 1)
	assert.ErrorIs(t, errs[0], os.ErrNotExist)
	assert.Equal(t, 2, n)
}

func FuzzRead(f *testing.F) {
	for _, seed := range [][]byte{request, framed(request, []byte(`{}`)), []byte("{}\n{\n}"), []byte(`[{"a":[1]},{}]`), zstded(f, request), gzipped(f, []byte("{}"))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 12
		n := 0
		for r, err := range read("f", bytes.NewReader(data), 0, most) {
			n++
			if err == nil {
				require.LessOrEqual(t, len(r.Data), most)
			}
			if e := (*Error)(nil); !errors.As(err, &e) && err == nil {
				require.Equal(t, n, r.Number)
			}
		}
		again := 0
		for r, err := range read("f", bytes.NewReader(data), n/2, most) {
			if again++; again <= n/2 && r.Number > 0 {
				require.Nil(t, r.Data)
			}
			_ = err // the same as before, or none where it was passed over
		}
		require.Equal(t, n, again, "skipping changes nothing but the data")
	})
}
