package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/ohler55/ojg/jp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ParseJSON parses a text that is one JSON value.
func ParseJSON(text string) (any, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, errors.New("the text is not JSON")
	}
	return v, nil
}

// Schema is a compiled JSON Schema (draft 2020-12 unless $schema names another).
type Schema struct{ compiled *jsonschema.Schema }

// CompileSchema compiles a schema, a JSON text. It refers to nothing outside of
// itself: no file and no address is read.
func CompileSchema(text string) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	const name = "schema.json"
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("the schema is not right: %w", err)
	}
	s, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("the schema is not right: %w", err)
	}
	return &Schema{s}, nil
}

// nowhere finds no other schema.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s lies outside of the schema", url)
}

// Valid says whether a text is JSON and keeps to the schema.
func (s *Schema) Valid(text string) bool {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	return err == nil && s.compiled.Validate(doc) == nil
}

// Path is a compiled JSONPath (RFC 9535 and what ohler55/ojg adds to it).
type Path struct{ expr jp.Expr }

// maxPath bounds a path: its steps are tried on every element.
const maxPath = 256

// CompilePath compiles a path such as $.items[0].price. Filters and recursive
// descent are refused, for what they visit is not bounded by the path.
func CompilePath(text string) (*Path, error) {
	if len(text) > maxPath {
		return nil, fmt.Errorf("the path has more than %d bytes", maxPath)
	}
	x, err := jp.ParseString(text)
	if err != nil {
		return nil, fmt.Errorf("the path is not right: %w", err)
	}
	for _, step := range x {
		switch step.(type) {
		case jp.Root, jp.Child, jp.Nth, jp.Bracket:
		default:
			return nil, errors.New("a path names fields and positions only, such as $.items[0].price")
		}
	}
	return &Path{x}, nil
}

// Get is the value at the path; false if there is none.
func (p *Path) Get(value any) (any, bool) {
	found := p.expr.Get(value)
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

// Citations are what a pattern finds in a text: its first group, or all of the
// match. Each is listed once.
func Citations(text string, pattern *regexp.Regexp) (list []string) {
	seen := map[string]bool{}
	for _, m := range pattern.FindAllStringSubmatch(text, maxCitations) {
		c := m[0]
		if len(m) > 1 {
			c = m[1]
		}
		if c != "" && !seen[c] {
			seen[c] = true
			list = append(list, c)
		}
	}
	return list
}

const maxCitations = 1000

// Supported is how many citations occur in one of the texts.
func Supported(citations, texts []string) (n int) {
	for _, c := range citations {
		for _, t := range texts {
			if strings.Contains(t, c) {
				n++
				break
			}
		}
	}
	return n
}
