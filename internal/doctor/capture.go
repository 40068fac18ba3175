package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

// giveUp is after how many records that are no telemetry, and none that is, a
// file is left.
const giveUp = 10

// Captures looks at capture files, and at the files of folders. progress is
// called after every request. A file that is no capture is noted; that none is,
// is an error.
func Captures(ctx context.Context, paths []string, progress func(*Exam)) (*Seen, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	e := NewExam()
	r := NewReader(e)
	var lost []string
	read := 0
	for _, file := range files {
		n, bad, err := r.file(ctx, file, progress)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrEnough):
		case n == 0 && err != nil:
			lost = append(lost, fmt.Sprintf("Not a capture, left out: %v", err))
		case bad > 0:
			lost = append(lost, fmt.Sprintf("%s of %s could not be read, such as %v", plural(bad, "record"), file, err))
		}
		read += n
	}
	if read == 0 && len(lost) > 0 {
		return nil, errors.New(strings.Join(lost, "\n"))
	}
	seen := e.Seen()
	seen.Lost = slices.Concat(lost, beside(files))
	return seen, nil
}

// file reads one file. It returns how many requests it held, how many records
// were none, and the first error.
func (r *Reader) file(ctx context.Context, path string, progress func(*Exam)) (read, bad int, first error) {
	for req, err := range otlp.Files(path) {
		if ctx.Err() != nil {
			return read, bad, ctx.Err()
		}
		if err == nil {
			read++
			if err = r.Take(req); errors.Is(err, ErrEnough) {
				return read, bad, err
			}
		}
		if err != nil {
			if bad++; first == nil {
				first = err
			}
			if read == 0 && bad >= giveUp {
				return read, bad, first
			}
		}
		progress(r.exam)
	}
	return read, bad, first
}

// expand replaces folders by the files in them.
func expand(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("open capture: %w", err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		err = filepath.WalkDir(p, func(path string, entry fs.DirEntry, err error) error {
			hidden := path != p && strings.HasPrefix(entry.Name(), ".")
			switch {
			case err != nil:
				return err
			case entry.IsDir() && hidden:
				return fs.SkipDir
			case entry.Type().IsRegular() && !hidden:
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("open folder of captures: %w", err)
		}
	}
	return files, nil
}

// beside notes captures of log records that lie beside those of spans.
func beside(files []string) []string {
	var notes []string
	for _, f := range files {
		stem, ext := f, ""
		for _, x := range []string{".jsonl", ".jsonl.gz", ".json", ".jsonl.zst"} {
			if s, ok := strings.CutSuffix(f, x); ok {
				stem, ext = s, x
			}
		}
		logs := stem + ".logs" + ext
		if ext == "" || strings.HasSuffix(stem, ".logs") || slices.Contains(files, logs) {
			continue
		}
		if _, err := os.Stat(logs); err == nil {
			notes = append(notes, logs+" lies beside and was not looked at: name it too if prompts or replies are missing.")
		}
	}
	return notes
}
