package rewards

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
)

// allowed are the functions of the expression language that rules may call.
// What is not here can grow its result without bound (repeat, replace, concat,
// reduce, …), depends on when it runs (now) or on map order (keys, values).
// docs/rewards.md lists them; a test keeps it in step.
var allowed = []string{
	"all", "any", "none", "one", "count", "filter", "find", "findIndex", "findLast", "findLastIndex", "map", "sum",
	"first", "last", "len",
	"abs", "ceil", "floor", "float", "int", "max", "mean", "median", "min", "round",
	"hasPrefix", "hasSuffix", "indexOf", "lastIndexOf", "lower", "split", "trim", "trimPrefix", "trimSuffix", "upper",
}

// stateName is the state of the evaluation, which rewriteCalls puts in front of
// the arguments of our own functions (library.go).
const stateName = "·"

// functionNames are all callable names, for hints.
func functionNames() []string {
	names := slices.Clone(allowed)
	for _, g := range library {
		for _, f := range g.list {
			names = append(names, f.name)
		}
	}
	return names
}

func newConfig(env any) *conf.Config {
	c := conf.New(env)
	c.MaxNodes = MaxNodes
	for _, g := range library {
		for _, f := range g.list {
			c.Functions[f.name] = &builtin.Function{
				Name: f.name, Types: f.signature,
				Func: func(args ...any) (any, error) { return f.call(args[0].(*state), args[1:]) },
			}
		}
	}
	for _, f := range []*builtin.Function{
		must[bool](), must[int64](), must[float64](), must[string](), must[map[string]any](),
		mustPoint[step](), mustPoint[evaluation](),
	} {
		c.Functions[f.Name] = f
	}
	return c
}

func signature(f any) []reflect.Type { return []reflect.Type{reflect.TypeOf(f)} }

// missingError says that a rule used a value that the telemetry does not show.
type missingError struct{ what string }

func (e *missingError) Error() string { return e.what + " is missing" }

// mustName names the function that turns a value that can be missing into one
// that cannot. It is no identifier of the language.
func mustName(t reflect.Type) string { return "·" + t.String() }

// must declares that function: *T → T, or the error that it is missing.
func must[T any]() *builtin.Function {
	return &builtin.Function{
		Name: mustName(reflect.TypeFor[T]()),
		Func: func(args ...any) (any, error) {
			switch v := args[0].(type) {
			case *T:
				if v != nil {
					return *v, nil
				}
			case T: // the language has looked through the pointer already
				return v, nil
			}
			return nil, &missingError{args[1].(string)}
		},
		Types: signature(func(*T, string) T { panic("internal error: a signature is not called") }),
	}
}

// mustPoint declares the function for what is read through a pointer: *T → *T,
// or the error that it is missing.
func mustPoint[T any]() *builtin.Function {
	return &builtin.Function{
		Name: mustName(reflect.TypeFor[*T]()),
		Func: func(args ...any) (any, error) {
			if v, ok := args[0].(*T); ok && v != nil {
				return v, nil
			}
			return nil, &missingError{args[1].(string)}
		},
		Types: signature(func(*T, string) *T { panic("internal error: a signature is not called") }),
	}
}

// rewriteCalls puts the state in front of the arguments of our functions.
func rewriteCalls(n ast.Node) {
	inspect(n, func(n ast.Node) {
		call, ok := n.(*ast.CallNode)
		if !ok || isOurs(call) == nil {
			return
		}
		s := &ast.IdentifierNode{Value: stateName}
		s.SetLocation(call.Location())
		call.Arguments = append([]ast.Node{s}, call.Arguments...)
	})
}

// isOurs is the function of the library that a call is of, nil if none.
func isOurs(call *ast.CallNode) *function {
	if id, ok := call.Callee.(*ast.IdentifierNode); ok {
		return ours[id.Value]
	}
	return nil
}

func callFeedback(s *state, name string) (any, error) {
	if f := s.facts.feedback(s.current, name); f != nil {
		return *f.Value, nil
	}
	return nil, nil
}

func callEvaluation(s *state, name string) (any, error) {
	if f := s.facts.evaluation(s.current, name); f != nil {
		return &evaluation{Score: f.Value, Label: f.Label, Explanation: f.Explanation}, nil
	}
	return nil, nil
}

// maxJSONBytes is how much text json(text) parses in the evaluation of one
// trajectory. Each text is parsed once, however often rules ask.
const maxJSONBytes = 16 << 20

var errJSONBytes = fmt.Errorf("json: more than %d bytes were parsed for this trajectory", maxJSONBytes)

type parsedJSON struct {
	value any
	err   error
}

// callJSON is json(text): the parsed value. Text that is not JSON is an error,
// so that the rule is null.
func callJSON(s *state, text string) (any, error) {
	key := textKey{unsafe.StringData(text), len(text)}
	if p, ok := s.json[key]; ok {
		return p.value, p.err
	}
	if s.jsonBytes += len(text); s.jsonBytes > maxJSONBytes {
		return nil, errJSONBytes
	}
	var p parsedJSON
	if err := json.Unmarshal([]byte(text), &p.value); err != nil {
		p = parsedJSON{err: errors.New("json: the text is not JSON")}
	}
	if s.json == nil {
		s.json = map[textKey]parsedJSON{}
	}
	s.json[key] = p
	return p.value, p.err
}

// textKey identifies a text by where it lies: comparing would cost its length.
type textKey struct {
	data *byte
	size int
}
