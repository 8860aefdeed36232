package formatters

import (
	"reflect"
	"slices"
	"strconv"
	"text/template"
	tree "text/template/parse"
)

// program is a template made ready to run. text/template finds every field by
// its name and calls every function by reflection, each time anew, which takes
// several times as long as writing the message; a program has found them
// before.
//
// It writes what text/template would, or nothing: where a template has
// something that is not known here, and where anything goes wrong while it runs
// (a nil, an argument of another type, an error, too much output),
// text/template runs the template from its start, and tells what is wrong.
type program struct {
	body  step
	slots int // for variables, the first of which is $
}

// A step writes a node, an expression is the value of a pipeline or of a part of
// it. Values are never interfaces; the invalid one is nil.
type (
	step       func(o *output, dot reflect.Value)
	expression func(o *output, dot reflect.Value) reflect.Value
)

// unfit is the panic of what has to be left to text/template.
type unfit struct{}

// prepare returns nil for a template that is left to text/template.
func prepare(t *template.Template) (p *program) {
	if t == nil {
		return nil
	}
	defer func() {
		if x := recover(); x != nil && x != (unfit{}) {
			panic(x)
		}
	}()
	c := preparation{all: t, done: map[string]*program{}}
	return c.template(t.Name())
}

// preparation is a template being prepared.
type preparation struct {
	all  *template.Template
	done map[string]*program // those that it calls; none calls itself
	vars []string            // those in scope, by slot
	most int                 // of them at once
}

func (c preparation) template(name string) *program {
	if c.done[name] == nil {
		c.vars, c.most = []string{"$"}, 1
		body := c.list(c.all.Lookup(name).Root)
		c.done[name] = &program{body, c.most}
	}
	return c.done[name]
}

// declare gives a variable a slot.
func (c *preparation) declare(v *tree.VariableNode) (slot int) {
	c.vars = append(c.vars, v.Ident[0])
	c.most = max(c.most, len(c.vars))
	return len(c.vars) - 1
}

// slot is the place of the innermost variable of that name.
func (c *preparation) slot(name string) int {
	for i, v := range slices.Backward(c.vars) {
		if v == name {
			return i
		}
	}
	panic(unfit{})
}

func (c *preparation) list(l *tree.ListNode) step {
	if l == nil {
		return func(*output, reflect.Value) {}
	}
	outer := c.vars
	steps := make([]step, len(l.Nodes))
	for i, n := range l.Nodes {
		steps[i] = c.node(n)
	}
	c.vars = outer
	return func(o *output, dot reflect.Value) {
		for _, s := range steps {
			s(o, dot)
		}
	}
}

func (c *preparation) node(n tree.Node) step {
	switch n := n.(type) {
	case *tree.TextNode:
		text := string(n.Text)
		return func(o *output, _ reflect.Value) { o.add(text) }
	case *tree.ActionNode:
		value := c.pipe(n.Pipe)
		if len(n.Pipe.Decl) > 0 {
			return func(o *output, dot reflect.Value) { value(o, dot) }
		}
		return func(o *output, dot reflect.Value) { o.print(value(o, dot)) }
	case *tree.IfNode:
		return c.branch(&n.BranchNode, false)
	case *tree.WithNode:
		return c.branch(&n.BranchNode, true)
	case *tree.RangeNode:
		return c.loop(n)
	case *tree.TemplateNode:
		value := c.pipe(n.Pipe)
		called := c.template(n.Name)
		return func(o *output, dot reflect.Value) { o.call(called, value(o, dot)) }
	}
	panic(unfit{})
}

func (c *preparation) branch(b *tree.BranchNode, with bool) step {
	outer := c.vars
	value, then, otherwise := c.pipe(b.Pipe), c.list(b.List), c.list(b.ElseList)
	c.vars = outer
	return func(o *output, dot reflect.Value) {
		switch v := value(o, dot); {
		case !truth(v):
			otherwise(o, dot)
		case with:
			then(o, v)
		default:
			then(o, dot)
		}
	}
}

// loop is a range over a slice.
func (c *preparation) loop(n *tree.RangeNode) step {
	outer := c.vars
	items := c.commands(n.Pipe)
	var slots []int
	for _, v := range n.Pipe.Decl {
		slots = append(slots, c.declare(v))
	}
	each, none := c.list(n.List), c.list(n.ElseList)
	c.vars = outer
	if n.Pipe.IsAssign {
		panic(unfit{})
	}
	return func(o *output, dot reflect.Value) {
		list := items(o, dot)
		if list.Kind() != reflect.Slice {
			panic(unfit{})
		}
		if list.Len() == 0 {
			none(o, dot)
		}
		for i := range list.Len() {
			item := concrete(list.Index(i))
			if len(slots) > 0 {
				o.vars[o.base+slots[len(slots)-1]] = item
			}
			if len(slots) > 1 {
				o.vars[o.base+slots[0]] = reflect.ValueOf(i)
			}
			each(o, item)
		}
	}
}

// pipe is a pipeline with the variables that it sets.
func (c *preparation) pipe(p *tree.PipeNode) expression {
	value := c.commands(p)
	for _, v := range p.Decl {
		slot, from := 0, value
		if p.IsAssign {
			slot = c.slot(v.Ident[0])
		} else {
			slot = c.declare(v)
		}
		value = func(o *output, dot reflect.Value) reflect.Value {
			v := from(o, dot)
			o.vars[o.base+slot] = v
			return v
		}
	}
	return value
}

// commands are those of a pipeline, each of which is the last argument of the
// next.
func (c *preparation) commands(p *tree.PipeNode) expression {
	if p == nil {
		panic(unfit{})
	}
	var value expression
	for i, cmd := range p.Cmds {
		name, isCall := cmd.Args[0].(*tree.IdentifierNode)
		if !isCall && (i > 0 || len(cmd.Args) > 1) {
			panic(unfit{})
		}
		if !isCall {
			value = c.value(cmd.Args[0])
			continue
		}
		var args []expression
		for _, arg := range cmd.Args[1:] {
			args = append(args, c.value(arg))
		}
		if i > 0 {
			if args = append(args, value); lazy(name.Ident) {
				panic(unfit{}) // their last argument is found first
			}
		}
		value = function(name.Ident, args)
	}
	return value
}

// value is an argument.
func (c *preparation) value(n tree.Node) expression {
	switch n := n.(type) {
	case *tree.DotNode:
		return func(_ *output, dot reflect.Value) reflect.Value { return dot }
	case *tree.FieldNode:
		return chain(func(_ *output, dot reflect.Value) reflect.Value { return dot }, n.Ident)
	case *tree.VariableNode:
		slot := c.slot(n.Ident[0])
		return chain(func(o *output, _ reflect.Value) reflect.Value { return o.vars[o.base+slot] }, n.Ident[1:])
	case *tree.ChainNode:
		return chain(c.value(n.Node), n.Field)
	case *tree.PipeNode:
		if len(n.Decl) == 0 {
			return c.pipe(n)
		}
	case *tree.IdentifierNode:
		return function(n.Ident, nil)
	case *tree.StringNode:
		return constant(n.Text)
	case *tree.BoolNode:
		return constant(n.True)
	case *tree.NumberNode:
		if i := int(n.Int64); n.IsInt && strconv.Itoa(i) == n.Text {
			return constant(i)
		}
	}
	panic(unfit{})
}

func constant(v any) expression {
	value := reflect.ValueOf(v)
	return func(*output, reflect.Value) reflect.Value { return value }
}

// quick runs a program for what it writes; not ok if text/template has to run
// the template.
func (o *output) quick(p *program, d *Data) (ok bool) {
	if p == nil {
		return false
	}
	given := d.in.audience.given()
	defer func() {
		clear(o.vars)
		clear(o.args)
		o.vars, o.args, o.base = o.vars[:0], o.args[:0], 0
		if x := recover(); x != nil { // text/template will meet it again
			d.in.audience.forget(d.in.audience.given() - given)
		}
	}()
	o.call(p, reflect.ValueOf(d))
	return true
}

// call runs a program with variables of its own.
func (o *output) call(p *program, dot reflect.Value) {
	outer := o.base
	o.base = len(o.vars)
	o.vars = append(o.vars, make([]reflect.Value, p.slots)...)
	o.vars[o.base] = dot
	p.body(o, dot)
	clear(o.vars[o.base:])
	o.vars, o.base = o.vars[:o.base], outer
}
