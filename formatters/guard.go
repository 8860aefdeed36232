package formatters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	tree "text/template/parse"
)

// maxSteps is how many steps a template may take for one message: a step is
// something written, a turn of a loop or a call of a function, and more for long
// texts. They are counted, not timed, so that a busy machine writes the same message
// as an idle one.
const maxSteps = 250_000

var errTooLong = errors.New("it took more than 250,000 steps")

// guard makes a template stoppable and refuses what could not be stopped:
// recursion, and functions without a bound. text/template cannot be cancelled,
// but it stops when its output fails; so every turn of a loop and every call of
// a template gets something to write.
func guard(t *template.Template) *mistake {
	graph := map[string][]call{}
	for _, one := range t.Templates() {
		if one.Tree == nil || one.Root == nil {
			continue
		}
		g := guardian{}
		g.list(one.Root)
		if g.refused != nil {
			m := mistakeAt(one.Tree, g.refused, "there is no function "+g.refused.Ident)
			m.expr = g.refused.Ident
			return m
		}
		for _, c := range g.calls {
			if called := t.Lookup(c.Name); called == nil || called.Tree == nil {
				m := mistakeAt(one.Tree, c, fmt.Sprintf("there is no template %q", c.Name))
				m.suggest(c.Name, defined(t))
				m.expr, m.caller = strconv.Quote(c.Name), true
				return m
			}
			graph[one.Name()] = append(graph[one.Name()], call{c, one.Tree})
		}
		tick(one.Root)
	}
	return acyclic(graph)
}

// call is a {{template}} in a tree.
type call struct {
	*tree.TemplateNode
	in *tree.Tree
}

// defined lists the templates that may be called.
func defined(t *template.Template) []string {
	var names []string
	for _, one := range t.Templates() {
		if one.Tree != nil && !strings.HasSuffix(one.Name(), templateSuffix) {
			names = append(names, one.Name())
		}
	}
	slices.Sort(names)
	return names
}

// tick makes a list of nodes write something, if only nothing.
func tick(l *tree.ListNode) {
	if len(l.Nodes) > 0 {
		if t, ok := l.Nodes[0].(*tree.TextNode); ok && len(t.Text) == 0 {
			return
		}
	}
	l.Nodes = append([]tree.Node{&tree.TextNode{NodeType: tree.NodeText, Pos: l.Pos}}, l.Nodes...)
}

// guardian walks one template.
type guardian struct {
	calls   []*tree.TemplateNode
	refused *tree.IdentifierNode
}

func (g *guardian) list(l *tree.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		g.node(n)
	}
}

func (g *guardian) node(n tree.Node) {
	switch n := n.(type) {
	case *tree.ActionNode:
		g.pipe(n.Pipe)
	case *tree.IfNode:
		g.branch(&n.BranchNode)
	case *tree.WithNode:
		g.branch(&n.BranchNode)
	case *tree.RangeNode:
		g.branch(&n.BranchNode)
		tick(n.List)
	case *tree.TemplateNode:
		g.calls = append(g.calls, n)
		g.pipe(n.Pipe)
	case *tree.ListNode:
		g.list(n)
	}
}

func (g *guardian) branch(b *tree.BranchNode) {
	g.pipe(b.Pipe)
	g.list(b.List)
	g.list(b.ElseList)
}

func (g *guardian) pipe(p *tree.PipeNode) {
	if p == nil {
		return
	}
	for _, cmd := range p.Cmds {
		for _, arg := range cmd.Args {
			switch arg := arg.(type) {
			case *tree.PipeNode:
				g.pipe(arg)
			case *tree.ChainNode:
				if inner, ok := arg.Node.(*tree.PipeNode); ok {
					g.pipe(inner)
				}
			case *tree.IdentifierNode:
				if g.refused == nil && slices.Contains(unbounded, arg.Ident) {
					g.refused = arg
				}
			}
		}
	}
}

// unbounded are text/template's functions that have no place here.
var unbounded = []string{"call", "html", "js", "urlquery"}

// acyclic refuses templates that call themselves, by whatever way.
func acyclic(graph map[string][]call) *mistake {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, way []string) *mistake
	visit = func(name string, way []string) *mistake {
		state[name] = visiting
		way = append(way, name)
		for _, c := range graph[name] {
			switch state[c.Name] {
			case visiting:
				way = append(way[slices.Index(way, c.Name):], c.Name)
				return mistakeAt(c.in, c.TemplateNode, fmt.Sprintf("template %q calls itself: %s", c.Name, strings.Join(way, " → ")))
			case done:
				continue
			}
			if m := visit(c.Name, way); m != nil {
				return m
			}
		}
		state[name] = done
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(graph)) {
		if state[name] == done {
			continue
		}
		if m := visit(name, nil); m != nil {
			return m
		}
	}
	return nil
}

// output takes what templates write, and stops them when it is too much or takes
// too many steps.
type output struct {
	ctx    context.Context
	buf    []byte
	steps  int
	writes int

	vars []reflect.Value // of the program that runs, and of those that called it
	base int             // where its own begin
	args []any           // of the functions being called
}

var outputs = sync.Pool{New: func() any { return new(output) }}

func newOutput(ctx context.Context) *output {
	o := outputs.Get().(*output)
	o.ctx, o.steps, o.writes = ctx, 0, 0
	return o
}

func (o *output) release() {
	o.ctx = nil
	outputs.Put(o)
}

// checkEvery is how many writes go by between two looks at the context.
const checkEvery = 8

// Write implements io.Writer for text/template.
func (o *output) Write(p []byte) (int, error) {
	if err := o.room(len(p)); err != nil {
		return 0, err
	}
	o.buf = append(o.buf, p...)
	return len(p), nil
}

// room asks for room for n bytes more, and for the steps that they take.
func (o *output) room(n int) error {
	if len(o.buf)+n > maxOutput {
		return errTooMuch
	}
	if !o.spend(1 + n/bytesPerStep) {
		return errTooLong
	}
	if o.writes++; o.writes%checkEvery != 0 {
		return nil
	}
	return o.ctx.Err()
}

// bytesPerStep is how much of a text a function reads in a step; of a document,
// which is parsed, it reads one byte.
const bytesPerStep = 64

func (o *output) spend(n int) bool {
	o.steps += n
	return o.steps <= maxSteps
}

// charge takes the steps of a function with these arguments. No function looks at
// more of them than this counts.
func (o *output) charge(args []any) bool {
	n := 1
	for _, v := range args {
		switch v := v.(type) {
		case string:
			n += min(len(v), maxOutput) / bytesPerStep
		case Text:
			n += min(len(v), maxOutput) / bytesPerStep
		case Markdown:
			n += min(len(v), maxOutput) / bytesPerStep
		case *Document:
			if v != nil {
				n += min(len(v.raw), maxParsed)
			}
		case []Text:
			n += len(v)
		case []User:
			n += len(v)
		case values, entries:
			n += held(v)
		}
	}
	return o.spend(n)
}

// counted are the functions for one message, each of which takes its steps.
func (o *output) counted() template.FuncMap {
	all := make(template.FuncMap, len(functions))
	for name, f := range functions {
		v := reflect.ValueOf(f)
		all[name] = reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
			if !o.charge(interfaces(args, v.Type().IsVariadic())) {
				panic(errTooLong) // an error for text/template
			}
			if v.Type().IsVariadic() {
				return v.CallSlice(args)
			}
			return v.Call(args)
		}).Interface()
	}
	return all
}

// interfaces are the values, with those of a variadic argument.
func interfaces(args []reflect.Value, variadic bool) (out []any) {
	for i, arg := range args {
		if variadic && i == len(args)-1 {
			for j := range arg.Len() {
				out = append(out, arg.Index(j).Interface())
			}
			continue
		}
		out = append(out, arg.Interface())
	}
	return out
}

// execute runs one part of a template.
func (o *output) execute(p part, d *Data) (string, error) {
	o.buf = o.buf[:0]
	if o.quick(p.program, d) {
		return string(o.buf), nil
	}
	o.buf = o.buf[:0]
	if o.steps > maxSteps {
		return "", fmt.Errorf("template: %s: %w", p.ParseName, errTooLong)
	}
	t, err := p.Clone()
	if err == nil {
		err = t.Funcs(o.counted()).Execute(o, d)
	}
	if err == nil {
		return string(o.buf), nil
	}
	var failed template.ExecError
	if !errors.As(err, &failed) { // of Write, without the name
		err = fmt.Errorf("template: %s: %w", p.ParseName, err)
	}
	return "", err
}
