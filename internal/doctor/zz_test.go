package doctor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

func TestZZ(t *testing.T) {
	for _, f := range strings.Split(os.Getenv("CAP"), ",") {
		e := NewExam()
		r := NewReader(e)
		fmt.Println("#####", f)
		files := []string{f}
		if l := strings.TrimSuffix(f, ".jsonl") + ".logs.jsonl"; os.Getenv("NOLOGS") == "" {
			if _, err := os.Stat(l); err == nil {
				files = append(files, l)
			}
		}
		for req, err := range otlp.Files(files...) {
			if err != nil {
				t.Log(err)
				continue
			}
			if err := r.Take(req); err != nil {
				t.Fatal(err)
			}
		}
		Diagnose(e.Seen()).Write(os.Stdout, Style{All: true})
	}
}
