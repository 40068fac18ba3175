package rewards

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"
)

// rule is a Rule, compiled.
type rule struct {
	Rule
	value *vm.Program
	when  *vm.Program // nil = every step
	uses  uses

	path                         string // rewards[0]
	nameNode, exprNode, whenNode *yaml.Node
}

// compile compiles the expressions of a rule; false if one has a problem.
func (d *document) compile(r *rule) bool {
	before := len(d.problems)
	r.value = d.expression(r, r.exprNode, r.path+".expr", r.Expr, wantNumber)
	if r.When != "" {
		r.when = d.expression(r, r.whenNode, r.path+".when", r.When, wantBool)
	}
	r.Provisional = r.uses&usesFacts != 0
	return len(d.problems) == before
}

// want says which values an expression may have.
type want int

const (
	wantNumber want = iota // or true and false
	wantBool
)

// mistake is what is wrong with an expression, and where.
type mistake struct {
	file.Error
	fix string
}

func (d *document) expression(r *rule, n *yaml.Node, path, src string, w want) *vm.Program {
	if len(src) > MaxExprBytes {
		d.fail(n, path, fmt.Sprintf("the expression has more than %d bytes", MaxExprBytes), "split the rule")
		return nil
	}
	program, used, err := compileExpr(src, r.Level, w)
	if err != nil {
		lead := len([]rune(n.Value)) - len([]rune(strings.TrimLeft(n.Value, " \t\r\n")))
		if n.LineComment != "" && n.Style == 0 {
			err.fix = "YAML takes what follows # for a comment: quote the expression with '…'"
		}
		d.failExpr(n, path, lead+err.From, err.Message, err.fix)
		return nil
	}
	r.uses |= used
	return program
}

// compileExpr is parse → limits → types → rewrite → types → bytecode.
func compileExpr(src string, level Level, w want) (program *vm.Program, used uses, m *mistake) {
	defer func() {
		if r := recover(); r != nil {
			program, m = nil, &mistake{Error: file.Error{Message: fmt.Sprintf("internal error: %v", r)}}
		}
	}()
	config := newConfig(environment(level))
	tree, err := parser.ParseWithConfig(src, config)
	if err != nil {
		return nil, 0, explain(err, level)
	}
	if size(tree.Node) > MaxNodes {
		return nil, 0, &mistake{Error: file.Error{Message: fmt.Sprintf("the expression has more than %d parts", MaxNodes)}, fix: "split the rule"}
	}
	r := newRewriter(tree.Node)
	rewriteCalls(tree.Node)
	c := new(checker.Checker)
	_, _ = c.Check(tree, config) // marks the types; its verdict is the second one's
	l := limiter{level: level, cache: &config.NtCache}
	l.walk(tree.Node)
	if l.problem != nil {
		return nil, 0, &mistake{Error: *l.problem, fix: l.fix}
	}
	r.rewrite(&tree.Node)
	t, err := c.Check(tree, config)
	if err != nil {
		return nil, 0, explain(err, level)
	}
	if m := checkResult(tree.Node, t, w); m != nil {
		return nil, 0, m
	}
	loosen(tree.Node)
	program, m = generate(tree, config, level)
	return program, l.uses, m
}

func generate(tree *parser.Tree, config *conf.Config, level Level) (*vm.Program, *mistake) {
	if err := optimizer.Optimize(&tree.Node, config); err != nil {
		return nil, explain(err, level)
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, explain(err, level)
	}
	return program, nil
}

// environment is what types are checked against: the structs themselves, so
// that fields are found by index; evaluation passes pointers to them.
func environment(level Level) any {
	if level == LevelStep {
		return stepView{}
	}
	return trajectoryView{}
}

// checkResult refuses expressions whose type can never be a reward.
func checkResult(n ast.Node, t reflect.Type, w want) *mistake {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface || t.Kind() == reflect.Bool {
		return nil
	}
	at := file.Error{Location: n.Location()}
	switch {
	case w == wantBool:
		at.Message = fmt.Sprintf("must be true or false, but gives %s", typeName(t.String()))
		return &mistake{Error: at, fix: `compare it, such as kind == "tool"`}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 && t.Kind() != reflect.Uintptr:
		return nil
	}
	at.Message = fmt.Sprintf("must give a number or true or false, but gives %s", typeName(t.String()))
	return &mistake{Error: at, fix: "compare it or count it: len(tools), output contains \"…\""}
}

var (
	unknownName  = regexp.MustCompile(`^unknown name (\S+)$`)
	unknownField = regexp.MustCompile(`^type (\S+) has no field (\S+)$`)
)

// explain turns an error of the expression language into a mistake, in the
// words of the file, with a proposal.
func explain(err error, level Level) *mistake {
	m := &mistake{}
	var at *file.Error
	if errors.As(err, &at) {
		m.Error = *at
	} else {
		m.Message = strings.SplitN(err.Error(), "\n", 2)[0]
	}
	if found := unknownName.FindStringSubmatch(m.Message); found != nil {
		m.fix = strings.TrimSpace(didYouMean(found[1], names(reflect.TypeOf(environment(level)))))
		m.fix += otherLevel(found[1], level)
	} else if found := unknownField.FindStringSubmatch(m.Message); found != nil {
		if t := viewType(found[1]); t != nil {
			m.fix = strings.TrimSpace(didYouMean(found[2], names(t)))
		}
	}
	m.Message = typeName(m.Message)
	if m.Message == "" {
		m.Message = "not an expression"
	}
	return m
}

func otherLevel(name string, level Level) string {
	if level == LevelTrajectory && !contains(names(reflect.TypeFor[trajectoryView]()), name) && contains(names(reflect.TypeFor[stepView]()), name) {
		return name + " belongs to a step: add level: step, or look through steps"
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// views are the types that error messages of the language can name.
var views = map[string]reflect.Type{
	"trajectory": reflect.TypeFor[trajectoryView](),
	"step":       reflect.TypeFor[step](),
	"message":    reflect.TypeFor[message](),
	"tool call":  reflect.TypeFor[toolCall](),
	"evaluation": reflect.TypeFor[evaluation](),
}

func viewType(goName string) reflect.Type { return views[typeName(goName)] }

var goTypes = strings.NewReplacer(
	"*rewards.trajectoryView", "trajectory", "rewards.trajectoryView", "trajectory",
	"*rewards.stepView", "step", "rewards.stepView", "step",
	"*rewards.toolCall", "tool call", "rewards.toolCall", "tool call",
	"*rewards.", "", "rewards.", "",
	"[]interface {}", "list", "map[string]interface {}", "map", "interface {}", "any value",
	"*string", "string", "*int64", "int", "int64", "int", "*float64", "float", "float64", "float", "*bool", "bool",
	"<nil>", "nil",
)

// typeName replaces Go's type names by the words of docs/rewards.md.
func typeName(s string) string { return goTypes.Replace(s) }

// names lists the fields of a view as rules call them.
func names(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		switch name := f.Tag.Get("expr"); {
		case f.Anonymous:
			out = append(out, names(f.Type)...)
		case name != "" && name != stateName:
			out = append(out, name)
		}
	}
	return out
}

// rewriter makes a missing value an error where the language would take it for
// false or for a number (nil contains "x" is false, nil == "x" too).
type rewriter struct {
	texts map[ast.Node]string // the nodes as the user wrote them
}

func newRewriter(root ast.Node) *rewriter {
	r := &rewriter{texts: map[ast.Node]string{}}
	inspect(root, func(n ast.Node) { r.texts[n] = n.String() })
	return r
}

// rewrite wraps every operand that can be missing into must, unless the rule
// asks for it: with ??, ?. or a comparison with nil.
func (r *rewriter) rewrite(place *ast.Node) {
	for _, c := range children(*place) {
		r.rewrite(c)
	}
	switch n := (*place).(type) {
	case *ast.UnaryNode:
		r.wrap(&n.Node)
	case *ast.BinaryNode:
		r.binary(n)
	case *ast.MemberNode:
		if !n.Optional {
			r.wrap(&n.Node)
			r.wrapBase(&n.Node)
		}
		r.wrap(&n.Property)
	case *ast.SliceNode:
		r.wrap(&n.Node)
	case *ast.ConditionalNode:
		r.wrap(&n.Cond)
	case *ast.PredicateNode:
		r.wrap(&n.Node)
	case *ast.BuiltinNode:
		r.wrapAll(n.Arguments)
	case *ast.CallNode:
		r.wrapAll(n.Arguments)
	case *ast.ArrayNode:
		r.wrapAll(n.Nodes)
	}
}

func (r *rewriter) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "??":
		return
	case "==", "!=":
		if isNil(n.Left) || isNil(n.Right) {
			return
		}
		// a?.b may be nil by the rule's own wish: it differs from every value
		if _, chain := n.Left.(*ast.ChainNode); !chain {
			r.wrap(&n.Left)
		}
		if _, chain := n.Right.(*ast.ChainNode); !chain {
			r.wrap(&n.Right)
		}
	default:
		r.wrap(&n.Left)
		r.wrap(&n.Right)
	}
}

func (r *rewriter) wrapAll(nodes []ast.Node) {
	for i := range nodes {
		r.wrap(&nodes[i])
	}
}

func isNil(n ast.Node) bool { _, ok := n.(*ast.NilNode); return ok }

// wrap guards a value that can be missing.
func (r *rewriter) wrap(place *ast.Node) {
	t := (*place).Type()
	if t == nil || t.Kind() != reflect.Pointer {
		return
	}
	switch t.Elem().Kind() {
	case reflect.Bool, reflect.Int64, reflect.Float64, reflect.String, reflect.Map:
		r.guard(place, mustName(t.Elem()))
	}
}

// wrapBase guards a step or an evaluation whose field is read. The elements of
// lists and the step itself are always there.
func (r *rewriter) wrapBase(place *ast.Node) {
	t := (*place).Type()
	if t != reflect.TypeFor[*step]() && t != reflect.TypeFor[*evaluation]() {
		return
	}
	switch n := (*place).(type) {
	case *ast.PointerNode:
		return
	case *ast.IdentifierNode:
		if n.Value == "step" {
			return
		}
	}
	r.guard(place, mustName(t))
}

// guard replaces n by function(n, "what n is").
func (r *rewriter) guard(place *ast.Node, function string) {
	n := *place
	callee := &ast.IdentifierNode{Value: function}
	what := &ast.StringNode{Value: r.texts[n]}
	call := &ast.CallNode{Callee: callee, Arguments: []ast.Node{n, what}}
	for _, added := range []ast.Node{callee, what, call} {
		added.SetLocation(n.Location())
	}
	*place = call
}

// loosen lets comparisons with an optional chain compare with nil: the compiler
// trusts the chain's type and would compare two texts.
func loosen(n ast.Node) {
	inspect(n, func(n ast.Node) {
		if chain, ok := n.(*ast.ChainNode); ok {
			chain.SetType(reflect.TypeFor[any]())
		}
	})
}
