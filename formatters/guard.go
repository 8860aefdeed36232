package formatters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
	"time"
)

// budget is how long the templates of one message may run.
const budget = 100 * time.Millisecond

var errTooLong = errors.New("it ran for more than 100 ms")

// guard makes a template stoppable and refuses what could not be stopped:
// recursion, and functions without a bound. text/template cannot be cancelled,
// but it stops when its output fails; so every turn of a loop and every call of
// a template gets something to write.
func guard(t *template.Template) error {
	calls := map[string][]string{}
	for _, one := range t.Templates() {
		if one.Tree == nil || one.Root == nil {
			continue
		}
		g := guardian{}
		g.list(one.Root)
		if g.err != nil {
			return g.err
		}
		tick(one.Root)
		calls[one.Name()] = g.calls
	}
	return acyclic(calls)
}

// tick makes a list of nodes write something, if only nothing.
func tick(l *parse.ListNode) {
	if len(l.Nodes) > 0 {
		if t, ok := l.Nodes[0].(*parse.TextNode); ok && len(t.Text) == 0 {
			return
		}
	}
	l.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText, Pos: l.Pos}}, l.Nodes...)
}

// guardian walks one template.
type guardian struct {
	calls []string
	err   error
}

func (g *guardian) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		g.node(n)
	}
}

func (g *guardian) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.ActionNode:
		g.pipe(n.Pipe)
	case *parse.IfNode:
		g.branch(&n.BranchNode)
	case *parse.WithNode:
		g.branch(&n.BranchNode)
	case *parse.RangeNode:
		g.branch(&n.BranchNode)
		tick(n.List)
	case *parse.TemplateNode:
		g.calls = append(g.calls, n.Name)
		g.pipe(n.Pipe)
	case *parse.ListNode:
		g.list(n)
	}
}

func (g *guardian) branch(b *parse.BranchNode) {
	g.pipe(b.Pipe)
	g.list(b.List)
	g.list(b.ElseList)
}

func (g *guardian) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, cmd := range p.Cmds {
		for _, arg := range cmd.Args {
			switch arg := arg.(type) {
			case *parse.PipeNode:
				g.pipe(arg)
			case *parse.ChainNode:
				if inner, ok := arg.Node.(*parse.PipeNode); ok {
					g.pipe(inner)
				}
			case *parse.IdentifierNode:
				if slices.Contains(unbounded, arg.Ident) {
					g.err = fmt.Errorf("there is no function %s", arg.Ident)
				}
			}
		}
	}
}

// unbounded are text/template's functions that have no place here.
var unbounded = []string{"call", "html", "js", "urlquery"}

// acyclic refuses templates that call themselves, by whatever way.
func acyclic(calls map[string][]string) error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, way []string) error
	visit = func(name string, way []string) error {
		switch state[name] {
		case done:
			return nil
		case visiting:
			way = append(way[slices.Index(way, name):], name)
			return fmt.Errorf("template %q calls itself: %s", name, strings.Join(way, " → "))
		}
		state[name] = visiting
		for _, next := range calls[name] {
			if err := visit(next, append(way, name)); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if err := visit(name, nil); err != nil {
			return err
		}
	}
	return nil
}

// output takes what templates write, and stops them when it is too much or
// takes too long.
type output struct {
	ctx    context.Context
	buf    []byte
	writes int
	last   time.Time     // when the clock was looked at
	spent  time.Duration // as it counts against the budget
}

var outputs = sync.Pool{New: func() any { return new(output) }}

func newOutput(ctx context.Context) *output {
	o := outputs.Get().(*output)
	o.ctx = ctx
	o.writes, o.spent, o.last = 0, 0, time.Now()
	return o
}

func (o *output) release() {
	o.ctx = nil
	outputs.Put(o)
}

const (
	// checkEvery is how many writes go by between two looks at the clock.
	checkEvery = 8

	// maxStep is the most that counts of the time between two looks, so that
	// a machine that stood still for a while is not blamed on a template.
	maxStep = budget / 4
)

// Write implements io.Writer for text/template.
func (o *output) Write(p []byte) (int, error) {
	if len(o.buf)+len(p) > maxOutput {
		return 0, errTooMuch
	}
	o.writes++
	if o.writes%checkEvery == 0 {
		now := time.Now()
		o.spent += min(now.Sub(o.last), maxStep)
		o.last = now
		if o.spent >= budget {
			return 0, errTooLong
		}
		if err := o.ctx.Err(); err != nil {
			return 0, err
		}
	}
	o.buf = append(o.buf, p...)
	return len(p), nil
}

// execute runs one part of a template.
func (o *output) execute(t *template.Template, d *Data) (string, error) {
	o.buf = o.buf[:0]
	err := t.Execute(o, d)
	if err == nil {
		return string(o.buf), nil
	}
	var failed template.ExecError
	if !errors.As(err, &failed) { // of Write, without the name
		err = fmt.Errorf("template: %s: %w", t.ParseName, err)
	}
	return "", err
}
