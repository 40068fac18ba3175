package rewards

import "github.com/expr-lang/expr/ast"

// children returns the places of a node's direct children, in the order of
// evaluation, so that they can be read and replaced.
func children(n ast.Node) []*ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []*ast.Node{&n.Node}
	case *ast.BinaryNode:
		return []*ast.Node{&n.Left, &n.Right}
	case *ast.ChainNode:
		return []*ast.Node{&n.Node}
	case *ast.MemberNode:
		return []*ast.Node{&n.Node, &n.Property}
	case *ast.SliceNode:
		return present(&n.Node, &n.From, &n.To)
	case *ast.CallNode:
		return append([]*ast.Node{&n.Callee}, places(n.Arguments)...)
	case *ast.BuiltinNode:
		return places(n.Arguments)
	case *ast.PredicateNode:
		return []*ast.Node{&n.Node}
	case *ast.ConditionalNode:
		return []*ast.Node{&n.Cond, &n.Exp1, &n.Exp2}
	case *ast.VariableDeclaratorNode:
		return []*ast.Node{&n.Value, &n.Expr}
	case *ast.SequenceNode:
		return places(n.Nodes)
	case *ast.ArrayNode:
		return places(n.Nodes)
	case *ast.MapNode:
		return places(n.Pairs)
	case *ast.PairNode:
		return []*ast.Node{&n.Key, &n.Value}
	}
	return nil
}

func places(nodes []ast.Node) []*ast.Node {
	out := make([]*ast.Node, len(nodes))
	for i := range nodes {
		out[i] = &nodes[i]
	}
	return out
}

func present(nodes ...*ast.Node) []*ast.Node {
	out := nodes[:0]
	for _, n := range nodes {
		if *n != nil {
			out = append(out, n)
		}
	}
	return out
}

// inspect calls f for n and every node below it.
func inspect(n ast.Node, f func(ast.Node)) {
	f(n)
	for _, c := range children(n) {
		inspect(*c, f)
	}
}

// size counts the nodes of a tree.
func size(n ast.Node) int {
	count := 0
	inspect(n, func(ast.Node) { count++ })
	return count
}
