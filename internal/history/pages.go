package history

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

const (
	// maxPage bounds a page of a Parquet file, packed and unpacked.
	maxPage = 256 << 20

	// maxPageValues bounds the values of a page: nulls take no room in it.
	maxPageValues = 16 << 20
)

// checkPages looks at the head of every page of a file before it is read: the
// library makes room for what a broken page claims to hold.
func checkPages(f io.ReaderAt, size int64, file *parquet.File) error {
	for _, group := range file.Metadata().RowGroups {
		for i := range group.Columns {
			c := chunk{file: f, meta: &group.Columns[i].MetaData}
			if err := c.check(size); err != nil {
				return fmt.Errorf("column %s: %w", strings.Join(c.meta.PathInSchema, "."), err)
			}
		}
	}
	return nil
}

// chunk is the pages of one column in one row group.
type chunk struct {
	file io.ReaderAt
	meta *format.ColumnMetaData
	room []byte
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
	section := io.NewSectionReader(c.file, at, end-at)
	in := bufio.NewReaderSize(section, 512)
	var h format.PageHeader
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(in)).Decode(&h); err != nil {
		return 0, err
	}
	read, err := section.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	head := read - int64(in.Buffered())
	packed, unpacked := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	values := max(h.DataPageHeader.V.NumValues, h.DataPageHeaderV2.V.NumValues, h.DictionaryPageHeader.V.NumValues)
	if packed < 0 || unpacked < 0 || packed > end-at-head || packed > maxPage || unpacked > maxPage || values > maxPageValues {
		return 0, fmt.Errorf("%d bytes, %d unpacked, %d values cannot be", packed, unpacked, values)
	}
	skip := int64(0)
	if v2 := h.DataPageHeaderV2; v2.Valid {
		skip = int64(v2.V.RepetitionLevelsByteLength) + int64(v2.V.DefinitionLevelsByteLength)
		if v2.V.RepetitionLevelsByteLength < 0 || v2.V.DefinitionLevelsByteLength < 0 || skip > packed || skip > unpacked {
			return 0, errors.New("its levels are larger than the page")
		}
		if v2.V.IsCompressed.Valid && !v2.V.IsCompressed.V {
			return head + packed, nil
		}
	}
	return head + packed, c.packed(at+head+skip, packed-skip, unpacked-skip)
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
