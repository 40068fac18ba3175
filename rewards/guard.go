package rewards

import (
	"reflect"

	"github.com/expr-lang/expr/ast"
)

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
