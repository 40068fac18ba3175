package rewards

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// The limits on operators, most of which are about texts: how they are
// searched, compared and joined.

func (l *limiter) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "matches":
		re, constant := n.Right.(*ast.StringNode)
		if !constant {
			l.fail(n.Right, "write the pattern as a constant text; contains compares with a computed one", "the regular expression is computed")
		} else if len(re.Value) > maxPattern {
			l.fail(n.Right, "", "the regular expression has more than %d bytes", maxPattern)
		}
		l.search(n, n.Operator, n.Left)
	case "contains":
		l.search(n, n.Operator, n.Left)
	case "..":
		l.rangeOf(n)
	case "+":
		l.join(n)
	case "==", "!=", "in", "startsWith", "endsWith":
		if l.depth() >= MaxLayers && l.long(n.Left) && l.long(n.Right) {
			l.fail(n, "compare names or numbers there; repeated marks equal calls", "%s would compare long texts once for every pair of elements", n.Operator)
		}
	}
}

// short are the fields of text that are names, not bodies.
var short = []string{
	"agent", "close_reason", "finish_reason", "id", "kind", "label", "model", "name", "role", "service", "status",
	"task_key", "tool_call_id",
}

// long reports whether a value may be a long text, or hold one.
func (l *limiter) long(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.StringNode, *ast.NilNode:
		return false
	case *ast.ChainNode:
		return l.long(n.Node)
	case *ast.IdentifierNode:
		if slices.Contains(short, n.Value) {
			return false
		}
	case *ast.MemberNode:
		if p, ok := n.Property.(*ast.StringNode); ok && slices.Contains(short, p.Value) && !n.Node.Nature().IsUnknown(l.cache) {
			return false
		}
	}
	t := n.Nature().Deref(l.cache)
	return !t.IsBool() && !t.IsNumber()
}

func (l *limiter) rangeOf(n *ast.BinaryNode) {
	from, ok1 := constantInt(n.Left)
	to, ok2 := constantInt(n.Right)
	if !ok1 || !ok2 || to-from >= maxRange || from-to >= maxRange {
		l.fail(n, fmt.Sprintf("use constants at most %d apart, or compare with >= and <=", maxRange), "the range has no fixed small size")
	}
}

func constantInt(n ast.Node) (int, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, n.Value < 1<<31 && n.Value > -1<<31
	case *ast.UnaryNode:
		v, ok := constantInt(n.Node)
		if n.Operator == "-" {
			v = -v
		}
		return v, ok && n.Operator != "!" && n.Operator != "not"
	}
	return 0, false
}

// join limits string additions: each can double a text.
func (l *limiter) join(n *ast.BinaryNode) {
	left, right := n.Left.Nature(), n.Right.Nature()
	if !left.IsString() && !right.IsString() && !(left.IsUnknown(l.cache) && right.IsUnknown(l.cache)) {
		return
	}
	if l.layer > 0 {
		l.fail(n, "compare the parts, or say that they are numbers: float(a) + float(b)", "texts cannot be joined inside predicates")
		return
	}
	if l.joins++; l.joins > maxJoins {
		l.fail(n, "compare the parts instead", "more than %d texts are joined", maxJoins)
	}
}

// search limits what reads all of a text, see the comment on limits.
func (l *limiter) search(n ast.Node, what string, text ast.Node) {
	layer := l.depth()
	heavy := what != "contains"
	switch {
	case layer >= MaxLayers:
		fix := "search in an outer predicate, or compare with ==, startsWith or endsWith"
		if l.level == LevelStep {
			fix = "a rule with level: step runs once per step: search with level: trajectory, or compare with ==, startsWith or endsWith"
		}
		l.fail(n, fix, "%s would search texts once for every pair of elements", what)
	case layer == 1 && heavy && l.wide(text):
		fix := "search it once before the predicate: let found = …; any(tools, found && …)"
		if l.level == LevelStep {
			fix = "use a rule with level: trajectory"
		}
		l.fail(n, fix, "%s would search the same text again for every element", what)
	}
}

// wide reports whether a text does not belong to the element at hand.
func (l *limiter) wide(text ast.Node) bool {
	wide, element := false, l.level == LevelStep && l.layer == 0
	inspect(text, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.PointerNode:
			element = true
		case *ast.IdentifierNode:
			switch {
			case n.Value == stateName, ours[n.Value] != nil:
			case slices.Contains(l.vars, variable{n.Value, true}):
				wide = true
			case slices.Contains(l.vars, variable{n.Value, false}):
				element = true
			case l.level == LevelTrajectory:
				wide = true
			case slices.Contains([]string{"input", "output", "trajectory", "steps", "tools", "messages"}, n.Value):
				wide = true
			}
		}
	})
	return wide || !element
}
