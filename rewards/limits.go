package rewards

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/file"
)

// The cost of a rule is bounded by its form. With n the length of the longest
// list (at most MaxListed, else the rule is null) and B the bytes of the
// trajectory's text, one evaluation of all steps visits at most MaxNodes·n²
// nodes and passes MaxNodes times over B:
//
//   - a layer is one run over a list: a predicate, or the steps for a rule with
//     level: step. At most two lie within each other.
//   - text is searched at most in the first layer, and there only the text of
//     the element: matching the same long text again and again is refused. In
//     the second layer only names and numbers are compared.
//   - nothing makes lists or texts grow: no ranges but short constant ones, no
//     reduce, repeat, concat; few string additions and none inside predicates.
const (
	MaxLayers  = 2    // nested predicates; the steps of level: step count as one
	MaxListed  = 1000 // steps or messages that a rule which reads lists can see
	maxRange   = 1000
	maxJoins   = 4
	maxPattern = 512 // bytes of a regular expression
)

// searches are the functions and operators that read all of a text.
var searches = []string{
	"matches", "contains",
	"indexOf", "lastIndexOf", "lower", "split", "trim", "trimPrefix", "trimSuffix", "upper",
}

// limiter checks one expression and finds out what it uses.
type limiter struct {
	level   Level
	cache   *nature.Cache
	vars    []variable // of let, in scope
	layer   int
	joins   int
	uses    uses
	problem *file.Error // the first one
	fix     string
}

// variable is one that let declares; wide if its text is not the element's own.
type variable struct {
	name string
	wide bool
}

func (l *limiter) fail(n ast.Node, fix, format string, args ...any) {
	if l.problem == nil {
		l.problem = &file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)}
		l.fix = fix
	}
}

// walk checks n and everything below it.
func (l *limiter) walk(n ast.Node) {
	l.check(n)
	switch n := n.(type) {
	case *ast.PredicateNode:
		l.layer++
		if l.depth() > MaxLayers {
			l.fail(n, l.layerFix(), "predicates are nested too deeply")
		}
		l.walk(n.Node)
		l.layer--
		return
	case *ast.VariableDeclaratorNode:
		l.walk(n.Value)
		l.vars = append(l.vars, variable{n.Name, l.wide(n.Value)})
		l.walk(n.Expr)
		l.vars = l.vars[:len(l.vars)-1]
		return
	case *ast.CallNode:
		for _, a := range n.Arguments {
			l.walk(a)
		}
		return
	}
	for _, c := range children(n) {
		l.walk(*c)
	}
}

// depth is how many runs over lists lie around the node at hand.
func (l *limiter) depth() int {
	if l.level == LevelStep {
		return l.layer + 1
	}
	return l.layer
}

func (l *limiter) layerFix() string {
	if l.level == LevelStep {
		return "a rule with level: step runs once per step, so it may hold one level of predicates: compute the rest with level: trajectory"
	}
	return fmt.Sprintf("at most %d may lie within each other: split the rule in two", MaxLayers)
}

func (l *limiter) check(n ast.Node) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			l.fail(n, "name the fields instead", "$env cannot be used in rules")
		}
		l.uses |= usesOf(n.Value)
	case *ast.StringNode:
		l.uses |= usesOf(n.Value) // a field named by ["…"]
	case *ast.MemberNode:
		if _, named := n.Property.(*ast.StringNode); !named && n.Node.Nature().IsUnknown(l.cache) {
			l.uses |= usesEverything // a field named at run time
		}
	case *ast.BuiltinNode:
		l.builtin(n)
	case *ast.CallNode:
		l.call(n)
	case *ast.BinaryNode:
		l.binary(n)
	}
}

func (l *limiter) builtin(n *ast.BuiltinNode) {
	if !slices.Contains(allowed, n.Name) {
		l.fail(n, otherFunction(n.Name), "function %s cannot be used in rules", n.Name)
		return
	}
	if slices.Contains(searches, n.Name) && len(n.Arguments) > 0 {
		l.search(n, n.Name, n.Arguments[0])
	}
}

func (l *limiter) call(n *ast.CallNode) {
	f := isOurs(n)
	if f == nil {
		name := n.Callee.String()
		l.fail(n, otherFunction(name), "there is no function %s", name)
		return
	}
	args := n.Arguments[1:] // behind the state
	if want := strings.Count(f.args, ",") + 1; len(args) != want {
		l.fail(n, fmt.Sprintf("write %s(%s)", f.name, f.args), "%s takes %s", f.name, plural(want, "argument"))
		return
	}
	for _, i := range f.texts {
		l.search(n, f.name, args[i])
	}
	if f.name == fnFeedback || f.name == fnEvaluation {
		l.uses |= usesFacts
	}
	if f.lists && l.depth() >= MaxLayers {
		l.fail(n, l.layerFix(), "%s would look through a list once for every pair of elements", f.name)
	}
	if f.constant >= 0 {
		l.constant(f, &args[f.constant])
	}
}

const (
	fnFeedback   = "feedback"
	fnEvaluation = "evaluation"
)

// constant puts what the constant text of a call comes to in its place.
func (l *limiter) constant(f *function, place *ast.Node) {
	arg := *place
	text, ok := arg.(*ast.StringNode)
	what := strings.Split(f.args, ", ")[f.constant]
	if !ok {
		fix := "write it out, between quotes"
		if f.prepare == nil {
			what, fix = "name of the "+f.name, fmt.Sprintf(`write it out: %s("solved")`, f.name)
		}
		l.fail(arg, fix, "the %s must be a constant text", what)
		return
	}
	if f.prepare == nil {
		return
	}
	value, err := f.prepare(text.Value)
	if err != nil {
		l.fail(arg, "", "the %s of %s: %s", what, f.name, err)
		return
	}
	made := &ast.ConstantNode{Value: value}
	made.SetLocation(arg.Location())
	*place = made
}

func plural(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// otherFunction proposes the nearest function.
func otherFunction(name string) string {
	if s := didYouMean(name, functionNames()); s != "" {
		return strings.TrimSpace(s)
	}
	return "docs/rewards.md lists the functions"
}
