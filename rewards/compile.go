package rewards

import (
	"fmt"
	"reflect"
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
	when  *vm.Program // nil = every trajectory or step
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
	program, used, gives, err := compileExpr(src, r.Level, w)
	if err != nil {
		lead := len([]rune(n.Value)) - len([]rune(strings.TrimLeft(n.Value, " \t\r\n")))
		if n.LineComment != "" && n.Style == 0 {
			err.fix = "YAML takes what follows # for a comment: quote the expression with '…'"
		}
		d.failExpr(n, path, lead+err.From, err.Message, err.fix)
		return nil
	}
	r.uses |= used
	if w == wantNumber {
		r.Gives = gives
	}
	return program
}

// compileExpr is parse → limits → types → rewrite → types → bytecode.
func compileExpr(src string, level Level, w want) (program *vm.Program, used uses, gives string, m *mistake) {
	defer func() {
		if r := recover(); r != nil {
			program, m = nil, &mistake{Error: file.Error{Message: fmt.Sprintf("internal error: %v", r)}}
		}
	}()
	config := newConfig(environment(level))
	tree, err := parser.ParseWithConfig(src, config)
	if err != nil {
		return nil, 0, "", explain(err, level)
	}
	if size(tree.Node) > MaxNodes {
		return nil, 0, "", &mistake{Error: file.Error{Message: fmt.Sprintf("the expression has more than %d parts", MaxNodes)}, fix: "split the rule"}
	}
	r := newRewriter(tree.Node)
	rewriteCalls(tree.Node)
	c := new(checker.Checker)
	_, _ = c.Check(tree, config) // marks the types; its verdict is the second one's
	l := limiter{level: level, cache: &config.NtCache}
	l.walk(tree.Node)
	if l.problem != nil {
		return nil, 0, "", &mistake{Error: *l.problem, fix: l.fix}
	}
	r.rewrite(&tree.Node)
	t, err := c.Check(tree, config)
	if err != nil {
		return nil, 0, "", explain(err, level)
	}
	if m := checkResult(tree.Node, t, w); m != nil {
		return nil, 0, "", m
	}
	loosen(tree.Node)
	program, m = generate(tree, config, level)
	return program, l.uses, inferred(t), m
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

// inferred names the type of an expression's value in the words of the
// documentation; one that can be nil at run time says so.
func inferred(t reflect.Type) string {
	switch {
	case t == nil || t.Kind() == reflect.Interface:
		return "any value"
	case t.Kind() == reflect.Pointer:
		return typeName(t.String()) + " or nil"
	}
	return typeName(t.String())
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
