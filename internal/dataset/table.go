package dataset

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// rowsAtOnce is how many rows one call hands to the Parquet writer, which
	// works column by column within a call.
	rowsAtOnce = 256
	// pageBytes is the size of a page before compression: larger ones compress
	// 4 % better than the library's 256 KiB and cost no more time.
	pageBytes = 1 << 20
	// dictionaryBytes bounds a dictionary; a column that outgrows it goes on plain.
	dictionaryBytes = 1 << 20
)

// codec is shared by all tables, for its encoders hold much memory.
var codec = &zstd.Codec{Level: zstd.SpeedFastest}

// table writes the files of one table, one after the other. The Parquet
// writer with all its buffers is kept from file to file.
type table[T any] struct {
	name  string
	bytes func(*T) int // about how many bytes a row holds

	pw    *parquet.GenericWriter[T]
	file  *stagedFile // nil = none is open
	group int64       // bytes in the open row group
}

// write adds rows to the table's file of the day, which it opens if need be.
func (t *table[T]) write(s *stage, day string, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	if t.file == nil {
		if err := t.open(s, day); err != nil {
			return err
		}
	}
	for len(rows) > 0 {
		n := 0
		for n < min(len(rows), rowsAtOnce) && t.group < s.rowGroupBytes {
			t.group += int64(t.bytes(&rows[n]))
			n++
		}
		if _, err := t.pw.Write(rows[:n]); err != nil {
			return err
		}
		t.file.Rows += int64(n)
		rows = rows[n:]
		if t.group >= s.rowGroupBytes {
			if err := t.pw.Flush(); err != nil {
				return err
			}
			t.group = 0
		}
	}
	return nil
}

func (t *table[T]) open(s *stage, day string) error {
	f, err := s.create(t.name, day)
	if err != nil {
		return err
	}
	t.file, t.group = f, 0
	if t.pw == nil {
		t.pw = parquet.NewGenericWriter[T](f.out, writerOptions[T]()...)
	} else {
		t.pw.Reset(f.out)
	}
	return nil
}

// finish makes the open file, if there is one, whole and durable.
func (t *table[T]) finish() error {
	if t.file == nil {
		return nil
	}
	if err := t.pw.Close(); err != nil {
		return err
	}
	keepPaths(t.pw.File().Metadata())
	f := t.file
	t.file = nil
	return f.finish()
}

// keepPaths lets a writer be reused: its Reset would clear the names of columns,
// which row groups share with it (parquet-go v0.32.0), and the columns of the next
// file would have none. Spark, and what else finds columns by name, cannot open such a file.
func keepPaths(written *format.FileMetaData) {
	for _, group := range written.RowGroups {
		for i := range group.Columns {
			group.Columns[i].MetaData.PathInSchema = nil
		}
	}
}

// abandon forgets the open file. The Parquet writer is not trusted after an error.
func (t *table[T]) abandon() { t.pw, t.file = nil, nil }

func writerOptions[T any]() []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.Compression(codec),
		parquet.PageBufferSize(pageBytes),
		parquet.WriteBufferSize(1 << 20),
		parquet.DictionaryMaxBytes(dictionaryBytes),
		// Times, counters, indices and token ids; what has a dictionary keeps it.
		parquet.DefaultEncodingFor(parquet.Int32, &parquet.DeltaBinaryPacked),
		parquet.DefaultEncodingFor(parquet.Int64, &parquet.DeltaBinaryPacked),
		parquet.KeyValueMetadata("tracegrad.dataset.version", strconv.Itoa(Version)),
	}
	for _, path := range bodies(reflect.TypeFor[T]()) {
		// The library would put the least and the greatest text of every page
		// into its header, whole and not compressed.
		options = append(options, parquet.SkipPageStatistics(path...), parquet.SkipPageBounds(path...))
	}
	return options
}

// bodies are the paths of the columns tagged store:"body".
func bodies(row reflect.Type) (paths [][]string) {
	for f := range row.Fields() {
		if f.Tag.Get("store") != "body" {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		if f.Type.Kind() == reflect.Slice {
			paths = append(paths, []string{name, "list", "element"})
		} else {
			paths = append(paths, []string{name})
		}
	}
	return paths
}

func size(s *string) int {
	if s == nil {
		return 0
	}
	return len(*s)
}

func (row *TrajectoryRow) bytes() int {
	return 300 + size(row.Input) + size(row.Output) + size(row.Error) + size(row.Attributes)
}

func (row *StepRow) bytes() int {
	n := 300 + size(row.Error) + size(row.Attributes) + size(row.Tools) + size(row.ToolArguments) +
		4*(len(row.InputMessages)+len(row.OutputMessages)+len(row.PromptTokenIDs)+len(row.TokenIDs)+len(row.Logprobs))
	return n + size(row.ToolResult)
}

func (row *MessageRow) bytes() int {
	return 80 + size(row.Text) + size(row.Reasoning) + size(row.ToolCalls) + size(row.Parts)
}

func (row *RewardRow) bytes() int { return 120 + size(row.Explanation) }

func (row *FactRow) bytes() int { return 200 + size(row.Explanation) }
