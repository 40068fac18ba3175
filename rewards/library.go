package rewards

import (
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/tracegrad/tracegrad/rewards/measure"
)

// function is one that rules may call beside those of the language.
type function struct {
	name      string
	args      string // as the documentation names them
	doc       string
	example   string // an expression that loads
	signature []reflect.Type
	call      func(s *state, args []any) (any, error)

	texts    []int                          // arguments whose text is read whole
	lists    bool                           // runs over a list: counts as a layer
	constant int                            // argument that must be a constant text; -1 = none
	prepare  func(text string) (any, error) // what call gets in its place; nil = the text
}

// fn declares a function whose arguments are used as they are.
func fn(name, args, doc, example string, texts []int, call func(s *state, args []any) (any, error), types ...any) function {
	f := function{name: name, args: args, doc: doc, example: example, texts: texts, call: call, constant: -1}
	for _, t := range types {
		f.signature = append(f.signature, reflect.TypeOf(t))
	}
	return f
}

// over is fn for functions that run over a list, given as steps or as what
// filter leaves of them.
func over(name, args, doc, example string, call func(s *state, args []any) (any, error), types ...any) function {
	f := fn(name, args, doc, example, nil, call, types...)
	f.lists = true
	return f
}

// compiled is fn for functions with a constant text that is compiled when the
// rules are loaded: call gets what it comes to.
func compiled[T any](f function, constant int, compile func(string) (*T, error)) function {
	f.constant, f.prepare = constant, func(text string) (any, error) { return compile(text) }
	return f
}

// group is some functions under one heading of the documentation.
type group struct {
	title string
	list  []function
}

// library is every function of ours, in the documentation's order.
var library = []group{
	{"Facts and JSON", facts()},
	{"Texts", texts()},
	{"Numbers", numbers()},
	{"JSON and citations", structured()},
	{"Tool runs", paths()},
	{"Shapes", shapes()},
}

// ours finds a function by its name.
var ours = func() map[string]*function {
	m := map[string]*function{}
	for _, g := range library {
		for i := range g.list {
			m[g.list[i].name] = &g.list[i]
		}
	}
	return m
}()

// maxWork is how much one rule may read of one trajectory in functions of the
// library, in about nanoseconds of a small machine: what goes beyond is null
// (limit). It counts by the sizes of the arguments, not by a clock.
const maxWork = 4 << 20

type workError struct{ what string }

func (e *workError) Error() string {
	return e.what + " would read more of this trajectory than one rule may: give it a part, such as output[:1000]"
}

// work takes n from what the rule may still read.
func (s *state) work(what string, n int) error {
	if s.worked += n; n < 0 || s.worked > maxWork {
		return &workError{what}
	}
	return nil
}

const (
	perByte  = 40  // of a text that is normalised
	perPair  = 2   // of the words or characters of two texts
	perMatch = 80  // of a text in which numbers or citations are looked for
	perJSON  = 150 // of a text that is checked against a schema
	perRun   = 100 // of a list

	perInstruction = 8 // of a pattern, for each byte of a text
)

func facts() []function {
	constantName := func(f function) function { f.constant = 0; return f }
	return []function{
		constantName(fn("feedback", "name", "value of the newest feedback of that name, nil without one", `feedback("solved") ?? 0`, nil,
			func(s *state, args []any) (any, error) { return callFeedback(s, args[0].(string)) }, func(*state, string) any { return nil })),
		constantName(fn("evaluation", "name", "newest evaluation or annotation of that name, nil without one", `evaluation("correctness")?.score ?? 0`, nil,
			func(s *state, args []any) (any, error) { return callEvaluation(s, args[0].(string)) }, func(*state, string) *evaluation { return nil })),
		fn("json", "text", "the parsed text; null if it is not JSON", `json(output).total ?? 0`, []int{0},
			func(s *state, args []any) (any, error) { return callJSON(s, args[0].(string)) }, func(*state, string) any { return nil }),
	}
}

type textPair = func(*state, string, string) float64

func texts() []function {
	pair := func(name, doc, example string, cost func(a, b string) int, f func(a, b string) any, signature any) function {
		return fn(name, "text, expected", doc, example, []int{0, 1}, func(s *state, args []any) (any, error) {
			a, b := args[0].(string), args[1].(string)
			if err := s.work(name, cost(a, b)); err != nil {
				return nil, err
			}
			return f(a, b), nil
		}, signature)
	}
	linear := func(a, b string) int { return perByte * (len(a) + len(b)) }
	square := func(a, b string) int {
		return linear(a, b) + product(utf8.RuneCountInString(a), utf8.RuneCountInString(b))
	}
	words := func(a, b string) int { return linear(a, b) + product(len(a)/2+1, len(b)/2+1)/4 }
	one := textPair(nil)
	return []function{
		pair("sameText", "the texts are the same but for capitals, punctuation, articles and white space (SQuAD's normalisation)", `sameText(output, "The Hague")`, linear,
			func(a, b string) any { return measure.Normalise(a) == measure.Normalise(b) }, func(*state, string, string) bool { return false }),
		pair("f1", "F1 of the words they share, normalised in the same way (SQuAD)", `f1(output, "a coat and a hat")`, linear,
			func(a, b string) any { return measure.F1(a, b) }, one),
		pair("rougeL", "F1 of their longest common sequence of words (Lin, 2004)", `rougeL(output, "Pack a coat.")`, words,
			func(a, b string) any { return measure.RougeL(a, b) }, one),
		pair("editDistance", "characters to put in, take out or change (Levenshtein)", `editDistance(output, "Pack a coat.") < 3`, square,
			func(a, b string) any { return measure.EditDistance(a, b) }, func(*state, string, string) int { return 0 }),
		pair("similarity", "1 - editDistance / length of the longer text", `similarity(output, "Pack a coat.")`, square,
			func(a, b string) any { return measure.Similarity(a, b) }, one),
		fn("overlap", "list, list", "what both lists hold, of what either holds (Jaccard)", `overlap(agents, ["triage_agent", "billing"])`, nil,
			lists("overlap", func(a, b []string) any { return measure.Overlap(a, b) }), signatures(float64(0))...),
		fn("coverage", "list, expected", "share of the expected that the list holds", `coverage(split(output, " "), ["coat", "hat"])`, nil,
			lists("coverage", func(a, b []string) any { return measure.Coverage(a, b) }), signatures(float64(0))...),
	}
}

// product saturates.
func product(a, b int) int {
	if a > 0 && b > math.MaxInt32/a {
		return math.MaxInt32
	}
	return perPair * a * b
}

func numbers() []function {
	return []function{
		fn("number", "text", "the number that the text is, such as 1,234.5, $12 or 12%; null if it is none", `number(output)`, []int{0},
			reading("number", measure.Number), func(*state, string) float64 { return 0 }),
		fn("lastNumber", "text", "the last number in the text; null without one", `lastNumber(output) == 12`, []int{0},
			reading("lastNumber", measure.LastNumber), func(*state, string) float64 { return 0 }),
		fn("near", "a, b, tolerance", "they differ by no more than the tolerance, absolute or relative to the larger one", `near(duration, 60, 0.1)`, nil,
			func(_ *state, args []any) (any, error) {
				n, err := floats("near", args)
				if err != nil {
					return nil, err
				}
				return measure.Near(n[0], n[1], n[2]), nil
			}, func(*state, any, any, any) bool { return false }),
		fn("mathEqual", "text, expected", `the same value as arithmetic or LaTeX, such as \boxed{\frac{1}{2}} and 0.5; other texts: the same but for white space`, `mathEqual(output, "1/2")`, []int{0, 1},
			func(s *state, args []any) (any, error) {
				a, b := args[0].(string), args[1].(string)
				if err := s.work("mathEqual", perByte*(len(a)+len(b))); err != nil {
					return nil, err
				}
				return measure.MathEqual(a, b), nil
			}, func(*state, string, string) bool { return false }),
	}
}

func reading(name string, read func(string) (float64, bool)) func(s *state, args []any) (any, error) {
	return func(s *state, args []any) (any, error) {
		text := args[0].(string)
		if err := s.work(name, perMatch*len(text)); err != nil {
			return nil, err
		}
		if v, ok := read(text); ok {
			return v, nil
		}
		return nil, &missingError{"a number in the text"}
	}
}

func structured() []function {
	schema := fn("validJSON", "text, schema", "the text is JSON and keeps to the JSON Schema, a constant text", `validJSON(output, '{"type":"object","required":["city"]}')`, []int{0},
		func(s *state, args []any) (any, error) {
			text := args[0].(string)
			schema := args[1].(*measure.Schema)
			if err := s.work("validJSON", perJSON*len(text)*schema.Weight()); err != nil {
				return nil, err
			}
			return schema.Valid(text), nil
		}, func(*state, string, any) bool { return false })
	path := fn("jsonPath", "text, path", "the value at a JSONPath of names and positions, nil if there is none; null if the text is not JSON", `jsonPath(output, "$.items[0].price") ?? 0`, []int{0},
		func(s *state, args []any) (any, error) {
			value, err := callJSON(s, args[0].(string))
			if err != nil {
				return nil, err
			}
			found, _ := args[1].(*measure.Path).Get(value)
			return found, nil
		}, func(*state, string, any) any { return nil })
	cited := fn("supported", "text, pattern, tools", "share of the citations in the text that occur in a result of the tools; a citation is what the constant pattern's first group matches; null without a citation", `supported(output, "\\[([A-Z]+-[0-9]+)\\]", tools)`, []int{0},
		callSupported, func(*state, string, any, []*step) float64 { return 0 }, func(*state, string, any, []any) float64 { return 0 })
	cited.lists = true
	return []function{
		compiled(schema, 1, measure.CompileSchema),
		compiled(path, 1, measure.CompilePath),
		compiled(cited, 1, measure.CompilePattern),
	}
}

func callSupported(s *state, args []any) (any, error) {
	text, pattern := args[0].(string), args[1].(*measure.Pattern)
	if err := s.work("supported", max(perMatch, perInstruction*pattern.Size())*len(text)); err != nil {
		return nil, err
	}
	citations := pattern.Citations(text)
	if len(citations) == 0 {
		return nil, &missingError{"a citation in the text"}
	}
	steps, err := stepsOf("supported", args[2])
	if err != nil {
		return nil, err
	}
	var results []string
	for _, st := range steps {
		if st.Result != nil {
			results = append(results, *st.Result)
			if err := s.work("supported", len(citations)*(len(*st.Result)/8+perRun)); err != nil {
				return nil, err
			}
		}
	}
	return float64(measure.Supported(citations, results)) / float64(len(citations)), nil
}

func shapes() []function {
	shape := func(name, args, doc, example string, n int, f func(a []float64) float64) function {
		types := map[int]any{2: func(*state, any, any) float64 { return 0 }, 3: func(*state, any, any, any) float64 { return 0 }}
		return fn(name, args, doc, example, nil, func(_ *state, args []any) (any, error) {
			a, err := floats(name, args)
			if err != nil {
				return nil, err
			}
			return f(a), nil
		}, types[n])
	}
	return []function{
		shape("linear", "x, good, bad", "1 at good, 0 at bad, straight between, flat beyond: for latency, cost, steps", `linear(duration, 10, 60)`, 3,
			func(a []float64) float64 { return measure.Linear(a[0], a[1], a[2]) }),
		shape("decay", "x, half", "½^(x / half): 1 at 0, one half at half", `decay(duration, 30)`, 2,
			func(a []float64) float64 { return measure.Decay(a[0], a[1]) }),
		shape("clip", "x, low, high", "x, but at least low and at most high", `clip(tool_calls - 3, 0, 5)`, 3,
			func(a []float64) float64 { return measure.Clip(a[0], a[1], a[2]) }),
		shape("overlong", "length, limit, cushion", "length penalty of DAPO: 0 up to limit - cushion, straight down to -1 at limit, -1 beyond", `overlong(output_tokens, 4096, 512)`, 3,
			func(a []float64) float64 { return measure.Overlong(a[0], a[1], a[2]) }),
	}
}
