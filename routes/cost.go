package routes

import (
	"reflect"

	"github.com/expr-lang/expr/ast"
)

// extent is how much a value holds.
type extent struct {
	bytes int // of all its texts
	count int // elements of a list
}

func (e extent) and(other extent) extent {
	return extent{e.bytes + other.bytes, e.count + other.count}
}

// pricing finds how many steps an expression takes at most for an event: each node
// once, in a predicate once for each element of the list, and more for the length of
// the texts that it compares.
type pricing struct {
	of      *expression
	subject *subject
	element extent // of the list that a predicate is asked about, on average
	times   int    // it is asked
	steps   int
}

func (x *expression) steps(s *subject) int {
	p := pricing{of: x, subject: s, times: 1}
	p.node(x.root)
	return p.steps
}

// charge counts a node that reads so many bytes.
func (p *pricing) charge(bytes int) { p.steps += p.times * (1 + bytes/8) }

// all are several nodes of which a new value is made.
func (p *pricing) all(nodes ...ast.Node) (sum extent) {
	for _, n := range nodes {
		if n != nil {
			sum = sum.and(p.node(n))
		}
	}
	p.charge(sum.bytes)
	return sum
}

// node charges a node with what is below it, and tells how much it returns.
func (p *pricing) node(n ast.Node) extent {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		p.charge(0)
		return p.held(n.Value)
	case *ast.MemberNode:
		return p.member(n)
	case *ast.StringNode:
		p.charge(0)
		return extent{bytes: len(n.Value)}
	case *ast.PointerNode:
		p.charge(0)
		return p.element
	case *ast.BinaryNode:
		return p.binary(n)
	case *ast.UnaryNode:
		return p.all(n.Node)
	case *ast.ChainNode:
		return p.node(n.Node)
	case *ast.ConditionalNode:
		return p.all(n.Cond, n.Exp1, n.Exp2)
	case *ast.SliceNode:
		return p.all(n.Node, n.From, n.To)
	case *ast.BuiltinNode:
		return p.builtin(n)
	case *ast.PredicateNode:
		return p.node(n.Node)
	case *ast.ArrayNode:
		sum := p.all(n.Nodes...)
		return extent{sum.bytes, len(n.Nodes)}
	case *ast.MapNode:
		return p.all(n.Pairs...)
	case *ast.PairNode:
		return p.all(n.Key, n.Value)
	}
	p.charge(0) // a number, a word
	return extent{}
}

// member is a part of something: no more than all of it.
func (p *pricing) member(n *ast.MemberNode) extent {
	property, named := n.Property.(*ast.StringNode)
	base, plain := n.Node.(*ast.IdentifierNode)
	if named && plain {
		p.charge(0)
		return p.held(base.Value + "." + property.Value)
	}
	return p.all(n.Node, n.Property)
}

func (p *pricing) binary(n *ast.BinaryNode) extent {
	left, right := p.node(n.Left), p.node(n.Right)
	sum := left.and(right)
	switch n.Operator {
	case "&&", "and", "||", "or":
		p.charge(0)
		return extent{}
	case "matches":
		if text, ok := n.Right.(*ast.StringNode); ok {
			p.steps += p.times * regexSteps(left.bytes, p.of.regexes[text.Value])
		}
		return extent{}
	case "+", "??":
		p.charge(sum.bytes)
		return sum
	case "in":
		p.charge(sum.bytes + 8*sum.count)
	default:
		p.charge(sum.bytes)
	}
	return extent{}
}

// builtin is a function; one with a predicate asks it about each element.
func (p *pricing) builtin(n *ast.BuiltinNode) extent {
	if len(n.Arguments) == 0 {
		p.charge(0)
		return extent{}
	}
	predicate, ok := n.Arguments[len(n.Arguments)-1].(*ast.PredicateNode)
	if !ok {
		return p.all(n.Arguments...)
	}
	list := p.node(n.Arguments[0])
	outer := *p
	p.times *= list.count
	p.element = extent{}
	if list.count > 0 {
		p.element = extent{bytes: 1 + list.bytes/list.count, count: 1}
	}
	p.node(predicate)
	p.times, p.element = outer.times, outer.element
	p.charge(0)
	return list
}

// held is how much the event has of a variable, or of a part of one.
func (p *pricing) held(path string) extent {
	s := p.subject
	if e, known := s.extents[path]; known {
		return e
	}
	if s.extents == nil {
		s.extents = map[string]extent{}
	}
	v, _ := s.environment().lookup(path)
	e := measure(reflect.ValueOf(v))
	s.extents[path] = e
	return e
}

// measure is how much a value of the environment holds.
func measure(v reflect.Value) (e extent) {
	switch v.Kind() {
	case reflect.String:
		e.bytes = v.Len()
	case reflect.Pointer:
		if !v.IsNil() {
			return measure(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			e = e.and(measure(v.Field(i)))
		}
	case reflect.Slice:
		for i := range v.Len() {
			e.bytes += measure(v.Index(i)).bytes
		}
		e.count = v.Len()
	}
	return e
}
