package history

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

const (
	// maxPage bounds a page of a Parquet file, packed and unpacked.
	maxPage = 128 << 20

	// maxPageRatio bounds how far a page of more than a megabyte unpacks.
	maxPageRatio = 1000

	// maxPageValues bounds the values of a page: nulls take no room in it.
	maxPageValues = 16 << 20
)

// maxFooter bounds the description of a Parquet file.
const maxFooter = 64 << 20

// checkFooter looks at the end of a file before it is opened, for the same
// reason as checkPages.
func checkFooter(f io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < int64(len(parquetMagic)+len(tail)) {
		return errCut
	}
	if _, err := f.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return err
	}
	if string(tail[4:]) != parquetMagic {
		return errCut
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-int64(len(parquetMagic)+len(tail)) || n > maxFooter {
		return fmt.Errorf("its description has %d bytes: that cannot be", n)
	}
	footer := make([]byte, n)
	if _, err := f.ReadAt(footer, size-int64(len(tail))-n); err != nil {
		return err
	}
	if _, err := thriftStruct(footer); err != nil {
		return errThrift
	}
	return nil
}

const parquetMagic = "PAR1"

var errCut = errors.New("it does not end like a Parquet file: is it whole?")

// checkPages looks at the head of every page of a file before it is read: the
// library makes room for what a broken page claims to hold.
func checkPages(f io.ReaderAt, size int64, file *parquet.File) error {
	for _, group := range file.Metadata().RowGroups {
		for i := range group.Columns {
			c := chunk{file: f, meta: &group.Columns[i].MetaData}
			var err error
			if c.leaf, err = leafOf(file, c.meta.PathInSchema); err == nil {
				err = c.check(size)
			}
			if err != nil {
				return fmt.Errorf("column %s: %w", strings.Join(c.meta.PathInSchema, "."), err)
			}
		}
	}
	return nil
}

// chunk is the pages of one column in one row group.
type chunk struct {
	file     io.ReaderAt
	meta     *format.ColumnMetaData
	leaf     parquet.LeafColumn
	room     []byte
	unpacked []byte // of the page
}

var errChunk = errors.New("its pages lie outside of the file")

func (c *chunk) check(size int64) error {
	at := c.meta.DataPageOffset
	if d := c.meta.DictionaryPageOffset; d > 0 && d < at {
		at = d
	}
	total := c.meta.TotalCompressedSize
	if at < 0 || total < 0 || at > size || total > size-at {
		return errChunk
	}
	for end := at + total; at < end; {
		n, err := c.page(at, end)
		if err != nil {
			return fmt.Errorf("page at byte %d: %w", at, err)
		}
		at += n
	}
	return nil
}

// page checks the page at an offset and returns its size.
func (c *chunk) page(at, end int64) (int64, error) {
	var h format.PageHeader
	head, err := c.head(at, end, &h)
	if err != nil {
		return 0, err
	}
	packed, unpacked := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	values := max(h.DataPageHeader.V.NumValues, h.DataPageHeaderV2.V.NumValues, h.DictionaryPageHeader.V.NumValues)
	if packed < 0 || unpacked < 0 || packed > end-at-head || packed > maxPage || unpacked > maxPage || unpacked > 1<<20 && unpacked/maxPageRatio > packed || values > maxPageValues {
		return 0, fmt.Errorf("%d bytes, %d unpacked, %d values cannot be", packed, unpacked, values)
	}
	skip := int64(0)
	if v2 := h.DataPageHeaderV2; v2.Valid {
		skip = int64(v2.V.RepetitionLevelsByteLength) + int64(v2.V.DefinitionLevelsByteLength)
		if v2.V.RepetitionLevelsByteLength < 0 || v2.V.DefinitionLevelsByteLength < 0 || skip > packed || skip > unpacked {
			return 0, errors.New("its levels are larger than the page")
		}
	}
	plain := c.meta.Codec == format.Uncompressed || h.DataPageHeaderV2.V.IsCompressed.Valid && !h.DataPageHeaderV2.V.IsCompressed.V
	if !plain {
		if err := c.packed(at+head+skip, packed-skip, unpacked-skip); err != nil {
			return 0, err
		}
	}
	data, err := c.read(at+head, packed)
	if err != nil {
		return 0, err
	}
	levels, data := data[:skip], data[skip:]
	if !plain {
		if data, err = c.unpack(data, unpacked-skip); err != nil {
			return 0, err
		}
	}
	return head + packed, c.content(&h, levels, data)
}

// unpack takes the compression off a page that packed has nothing against.
func (c *chunk) unpack(data []byte, want int64) ([]byte, error) {
	if int64(cap(c.unpacked)) < want {
		c.unpacked = make([]byte, want)
	}
	out, err := c.decode(c.unpacked[:want], data)
	if err == nil && int64(len(out)) > want {
		err = errLarger
	}
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return out, nil
}

var (
	errLarger = errors.New("it holds more than the page")

	// unzstd stops at what a page may hold.
	unzstd, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage))
)

// decode stops soon after out is full.
func (c *chunk) decode(out, data []byte) ([]byte, error) {
	var r io.Reader
	switch c.meta.Codec {
	case format.Zstd:
		return unzstd.DecodeAll(data, out[:0])
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		r = z
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(data))
	default:
		return parquet.LookupCompressionCodec(c.meta.Codec).Decode(out, data)
	}
	n, err := io.ReadFull(r, out)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return out[:n], nil
	}
	if more, _ := io.ReadFull(r, make([]byte, 1)); more > 0 {
		err = errLarger
	}
	return out[:n], err
}

// head reads the header of a page and returns its size.
func (c *chunk) head(at, end int64, h *format.PageHeader) (int64, error) {
	for most := int64(4 << 10); ; most *= 16 {
		b, err := c.read(at, min(most, end-at))
		if err != nil {
			return 0, err
		}
		n, err := thriftStruct(b)
		if errors.Is(err, errMore) && most < end-at && most < maxFooter {
			continue
		}
		if err != nil {
			return 0, errThrift
		}
		return int64(n), thrift.Unmarshal(new(thrift.CompactProtocol), b[:n], h)
	}
}

// packed checks how much comes out of packed data, where that is told before it
// is unpacked, or not bounded when it is.
func (c *chunk) packed(at, size, want int64) error {
	switch c.meta.Codec {
	case format.Snappy:
		head, err := c.read(at, min(size, binary.MaxVarintLen64))
		if n, m := binary.Uvarint(head); err != nil || m <= 0 || n > uint64(want) { //nolint:gosec // a size
			return errors.Join(errors.New("snappy: it claims to hold more than the page"), err)
		}
	case format.Zstd:
		head, err := c.read(at, min(size, zstd.HeaderMaxSize))
		if err != nil {
			return err
		}
		var h zstd.Header
		if h.Decode(head) == nil && h.HasFCS && h.FrameContentSize > uint64(want) { //nolint:gosec // a size
			return errors.New("zstd: it claims to hold more than the page")
		}
	case format.Lz4Raw:
		data, err := c.read(at, size)
		if err != nil {
			return err
		}
		if n, err := lz4.UncompressBlock(data, make([]byte, want)); err != nil || int64(n) != want {
			return errors.Join(errors.New("lz4: it does not hold the page"), err)
		}
	}
	return nil
}

func (c *chunk) read(at, n int64) ([]byte, error) {
	if int64(cap(c.room)) < n {
		c.room = make([]byte, n)
	}
	b := c.room[:n]
	_, err := c.file.ReadAt(b, at)
	return b, err
}
