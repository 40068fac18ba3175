package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// The layout below the root:
//
//	v1/<table>/date=<day>/<writer>-<batch>.parquet   committed files
//	v1/_tmp/<writer>/<table>.<day>.<batch>           files being written
//	v1/_upkeep/<batch>.json                      what is to be removed, see replacement
//	v1/_forgotten/<hash>.json                    users of whom nothing old is written any more, see mark
//	v1/_import/<import>/                             what an import goes on with, see internal/backfill
const (
	tmpDir    = "_tmp"
	importDir = "_import"
	forgotten = "_forgotten"
	upkeep    = "_upkeep" // no writer's name: those do not begin with _
	fileExt   = ".parquet"
	lock      = ".lock"

	maxWriterName = 64
	unknownDay    = "1970-01-01"
)

// layout is the folder of this version.
var layout = fmt.Sprintf("v%d", Version)

func versionDir(root string) string { return filepath.Join(root, layout) }

// ImportDir is where imports into the dataset at root keep what they go on with
// after they were stopped. It is no part of the tables.
func ImportDir(root string) string { return filepath.Join(versionDir(root), importDir) }

// SafeName makes name usable as a part of a file name: letters, digits, dots,
// dashes and underscores, at most 64, none of ._- first. A name that had to be
// changed ends in a hash of the original, so that different names stay different.
func SafeName(name string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
	safe = strings.TrimLeft(safe, "._-")
	if safe == name && len(safe) <= maxWriterName && safe != "" {
		return safe
	}
	sum := sha256.Sum256([]byte(name))
	const hashed = 9 // "-" and 8 digits
	return strings.TrimPrefix(safe[:min(len(safe), maxWriterName-hashed)]+"-"+hex.EncodeToString(sum[:4]), "-")
}

// day is the UTC day of the first of the times (µs) that is known. Times
// that no calendar holds are unknown.
func day(times ...int64) string {
	for _, us := range times {
		if t := time.UnixMicro(us).UTC(); us > 0 && t.Year() <= 9999 {
			return t.Format(time.DateOnly)
		}
	}
	return unknownDay
}

func fileName(writer, batch string) string { return writer + "-" + batch + fileExt }

// objectName is the name of a committed file below the dataset's root.
func objectName(table, day, writer, batch string) string {
	return path.Join(layout, table, "date="+day, fileName(writer, batch))
}

func finalPath(root, table, day, writer, batch string) string {
	return filepath.Join(root, filepath.FromSlash(objectName(table, day, writer, batch)))
}
