package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
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
type Schema struct {
	compiled *jsonschema.Schema
	weight   int
}

// Weight is how many of the schema's parts may look at the same value: [Schema.Valid]
// takes time with the length of the text times this.
func (s *Schema) Weight() int { return s.weight }

// CompileSchema compiles a schema, a JSON text. It refers to nothing: no file and
// no address is read, and references within it are refused, for a chain of them
// looks at a value exponentially often.
func CompileSchema(text string) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	weight, reference := weigh(doc)
	if reference != "" {
		return nil, fmt.Errorf("%s is not supported: write what it names in its place", reference)
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
	return &Schema{s, 1 + weight}, nil
}

// weigh counts what looks at a value besides the schema that describes it, and
// names a keyword that refers elsewhere, "" without one.
func weigh(doc any) (n int, reference string) {
	switch doc := doc.(type) {
	case map[string]any:
		for key, v := range doc {
			switch key {
			case "$ref", "$dynamicRef", "$recursiveRef":
				if _, ok := v.(string); ok {
					return 0, key
				}
			case "anyOf", "allOf", "oneOf", "patternProperties", "dependentSchemas", "dependencies":
				n += entries(v)
			case "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties":
				n++
			}
			more, ref := weigh(v)
			if n += more; ref != "" {
				return 0, ref
			}
		}
	case []any:
		for _, v := range doc {
			more, ref := weigh(v)
			if n += more; ref != "" {
				return 0, ref
			}
		}
	}
	return n, ""
}

func entries(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	}
	return 0
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

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 512

// Pattern is a compiled regular expression.
type Pattern struct {
	expr *regexp.Regexp
	size int
}

// CompilePattern compiles a regular expression.
func CompilePattern(text string) (*Pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("the pattern has more than %d bytes", maxPattern)
	}
	expr, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	return &Pattern{expr, len(program.Inst)}, nil
}

// Size is how many instructions the pattern has: [Pattern.Citations] takes at
// most time with the length of the text times this.
func (p *Pattern) Size() int { return p.size }

// Citations are what the pattern finds in a text: its first group, or all of the
// match. Each is listed once.
func (p *Pattern) Citations(text string) (list []string) {
	seen := map[string]bool{}
	for _, m := range p.expr.FindAllStringSubmatch(text, maxCitations) {
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
