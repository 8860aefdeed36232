package routes

import (
	"errors"
	"fmt"
	"reflect"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	bytecode "github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/gitlab-mattermost/relay/configs"
)

// expression is a compiled `if`.
//
// It answers true only when what it asks of the event is so. A comparison that
// reaches into a part that the event lacks is neither true nor false: `not` of
// it is not true either, and `or` goes by its other side.
type expression struct {
	text    string
	program *vm.Program
	root    ast.Node
	regexes map[string]int // instructions of those it matches with
	parts   []string       // top-level parts that it reaches into: "pipeline"
	fields  []string       // of the event that it asks: "pipeline", "title"
	paths   []string       // what it asks of them: "pipeline.duration"
}

const (
	maxNodes     = 300
	maxMemory    = 100_000 // elements made by one run
	maxShown     = 60      // characters of a value in an explanation
	maxPathsShow = 8
)

// functions are those that `if` may call: none of them reads a clock, makes
// lists out of nothing, or takes time that the event's size does not bound.
var functions = []string{
	"all", "any", "count", "filter", "hasPrefix", "hasSuffix", "len", "lower", "none", "one", "trim", "trimPrefix", "trimSuffix", "upper",
}

func expressionConfig() *conf.Config {
	c := conf.CreateNew()
	for _, option := range []expr.Option{
		expr.Env(reflect.New(eventView.as).Interface()), expr.AsBool(), expr.WarnOnAny(), expr.Optimize(false), expr.MaxNodes(maxNodes), expr.DisableIfOperator(),
	} {
		option(c)
	}
	for name := range c.Builtins {
		if !slices.Contains(functions, name) {
			delete(c.Builtins, name)
			c.Disabled[name] = true
		}
	}
	return c
}

// compileExpression checks and compiles an `if`.
func compileExpression(e *configs.Expression) (*expression, *configs.Finding) {
	config := expressionConfig()
	tree, err := parser.ParseWithConfig(e.Text, config)
	if err != nil {
		return nil, syntaxProblem(e, err)
	}
	w := &walker{expression: expression{text: e.Text, regexes: map[string]int{}}}
	if !w.statements(tree.Node) {
		ast.Walk(&tree.Node, w)
	}
	if w.wrong != nil {
		return nil, at(e, w.wrong.Location, w.wrong.message, w.wrong.hint)
	}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, typeProblem(e, err)
	}
	tree.Node = guarded(tree.Node, false)
	if _, err := checker.Check(tree, config); err != nil {
		return nil, typeProblem(e, err)
	}
	out := w.expression
	out.root = tree.Node
	if out.program, err = bytecode.Compile(tree, config); err != nil {
		return nil, at(e, file.Location{}, "if cannot be compiled", "write it in another way")
	}
	return &out, nil
}

// at is a finding about a part of the text, where the text can be counted in
// the file.
func at(e *configs.Expression, l file.Location, message, hint string) *configs.Finding {
	f := &configs.Finding{Pos: e.Pos, Message: message, Hint: hint, Width: 1}
	length := utf8.RuneCountInString(e.Text)
	if e.Plain {
		f.Width = length
		if l.To > l.From && l.To <= length {
			f.Pos.Col += l.From
			f.Width = l.To - l.From
		} else if l.From > 0 && l.From <= length {
			f.Pos.Col += min(l.From, max(length-1, 0))
			f.Width = 1
		}
	}
	return f
}

// walker looks at the nodes of an expression before they are checked.
type walker struct {
	expression
	wrong *nodeProblem
}

type nodeProblem struct {
	file.Location
	message, hint string
}

func (w *walker) refuse(n ast.Node, hint, format string, args ...any) {
	if w.wrong == nil {
		w.wrong = &nodeProblem{n.Location(), fmt.Sprintf(format, args...), hint}
	}
}

// Visit is called with each node after those in it.
func (w *walker) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		w.variable(n)
	case *ast.MemberNode:
		w.member(n)
	case *ast.CallNode:
		w.call(n)
	case *ast.BuiltinNode:
		if !slices.Contains(functions, n.Name) {
			w.refuse(n, "there is "+strings.Join(functions, ", "), "unknown function %q in if", n.Name)
		}
	case *ast.PredicateNode:
		if holdsPredicate(n.Node) {
			w.refuse(n, "ask in two conditions with &&", "a list inside a list cannot be searched in if")
		}
	case *ast.BinaryNode:
		w.binary(n)
	}
}

// statements refuses what is more than one expression.
func (w *walker) statements(root ast.Node) bool {
	n := ast.Find(root, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.VariableDeclaratorNode, *ast.SequenceNode:
			return true
		}
		return false
	})
	if n != nil {
		w.refuse(n, "write one condition, with && and ||", "if takes one condition, without let and ;")
	}
	return n != nil
}

// variable checks a name that is no property and no function.
func (w *walker) variable(n *ast.IdentifierNode) {
	names := eventView.names()
	if slices.Contains(names, n.Value) {
		if !slices.Contains(w.fields, n.Value) {
			w.fields = append(w.fields, n.Value)
		}
		w.ask(n.Value)
		return
	}
	if slices.Contains(functions, n.Value) {
		return // of a call
	}
	hint := "there is " + strings.Join(names, ", ")
	if s := configs.Suggest(n.Value, names); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	} else if s := otherVariables[n.Value]; s != "" {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	w.refuse(n, hint, "unknown variable %q in if", n.Value)
}

// otherVariables are what people look for.
var otherVariables = map[string]string{
	"mr": "merge_request", "username": "actor.username", "user": "actor", "author": "actor", "status": "action", "duration": "pipeline.duration",
	"path": "project.path", "visibility": "project.visibility", "bot": "actor.bot", "environment": "deployment.environment", "label": "labels",
	"comment": "note", "build": "job", "paths": "push.paths", "commits": "push.commits", "default_branch": "project.default_branch",
}

func (w *walker) ask(path string) {
	if !slices.Contains(w.paths, path) {
		w.paths = append(w.paths, path)
	}
}

// member notes which part is reached into.
func (w *walker) member(n *ast.MemberNode) {
	property, ok := n.Property.(*ast.StringNode)
	base, plain := n.Node.(*ast.IdentifierNode)
	if !ok || !plain {
		return
	}
	if eventView.index(base.Value) < 0 {
		return // which is told already
	}
	// The variable alone was noted before its member.
	w.paths = slices.DeleteFunc(w.paths, func(p string) bool { return p == base.Value })
	w.ask(base.Value + "." + property.Value)
	if isPart(base.Value) && !slices.Contains(w.parts, base.Value) {
		w.parts = append(w.parts, base.Value)
	}
}

func (w *walker) call(n *ast.CallNode) {
	if f, ok := n.Callee.(*ast.IdentifierNode); ok {
		hint := "there is " + strings.Join(functions, ", ")
		if s := configs.Suggest(f.Value, functions); f.Value == "now" || f.Value == "date" {
			hint = "if reads no clock"
		} else if s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		if w.wrong != nil && w.wrong.Location == f.Location() {
			w.wrong = nil // that its name is no variable
		}
		w.refuse(n, hint, "unknown function %q in if", f.Value)
		return
	}
	w.refuse(n, "there is "+strings.Join(functions, ", "), "this cannot be called in if")
}

func (w *walker) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "..":
		w.refuse(n, "compare with >= and <=", "ranges are not read in if")
	case "matches":
		text, ok := n.Right.(*ast.StringNode)
		if !ok {
			w.refuse(n.Right, "write it in quotes", "matches takes a regular expression that is written out")
			return
		}
		re, err := compileRegex(text.Value)
		var wrong *syntax.Error
		if errors.As(err, &wrong) && wrong.Code == syntax.ErrLarge {
			w.refuse(n.Right, "write a shorter one", "this regular expression is too large")
		} else if err == nil { // the compiler tells of all other mistakes
			w.regexes[text.Value] = re.size
		}
	}
}

// holdsPredicate tells whether a node searches a list.
func holdsPredicate(n ast.Node) bool {
	return ast.Find(n, func(n ast.Node) bool { _, ok := n.(*ast.PredicateNode); return ok }) != nil
}

// guarded makes an expression that is true only when n is true, or with
// negated only when n is false, and that asks whether a part is there before it
// reaches into it.
func guarded(n ast.Node, negated bool) ast.Node {
	switch x := n.(type) {
	case *ast.UnaryNode:
		if x.Operator == "!" || x.Operator == "not" {
			return guarded(x.Node, !negated)
		}
	case *ast.BinaryNode:
		and := x.Operator == "&&" || x.Operator == "and"
		or := x.Operator == "||" || x.Operator == "or"
		if and || or {
			return binary(n, and != negated, guarded(x.Left, negated), guarded(x.Right, negated))
		}
	}
	out := n
	if negated {
		out = placed(n, &ast.UnaryNode{Operator: "!", Node: n})
	}
	for _, part := range partsOf(n) {
		there := placed(n, &ast.BinaryNode{
			Operator: "!=", Left: placed(n, &ast.IdentifierNode{Value: part}), Right: placed(n, &ast.NilNode{}),
		})
		out = binary(n, true, there, out)
	}
	return out
}

func binary(at ast.Node, and bool, left, right ast.Node) ast.Node {
	operator := "||"
	if and {
		operator = "&&"
	}
	return placed(at, &ast.BinaryNode{Operator: operator, Left: left, Right: right})
}

func placed(at ast.Node, n ast.Node) ast.Node {
	n.SetLocation(at.Location())
	return n
}

// partsOf are the parts that a node reaches into, but for those it asks for
// with ?.
func partsOf(n ast.Node) []string {
	var out []string
	visit := visitor(func(n ast.Node) {
		m, ok := n.(*ast.MemberNode)
		if !ok || m.Optional {
			return
		}
		base, ok := m.Node.(*ast.IdentifierNode)
		if !ok || slices.Contains(out, base.Value) {
			return
		}
		if isPart(base.Value) {
			out = append(out, base.Value)
		}
	})
	ast.Walk(&n, visit)
	return out
}

type visitor func(ast.Node)

func (f visitor) Visit(n *ast.Node) { f(*n) }

// holds tells whether the event is as the expression says. Its steps are counted
// before it runs, from what the event holds.
func (x *expression) holds(s *subject) bool {
	if !s.spend(x.steps(s)) {
		return false
	}
	machine := vm.VM{MemoryBudget: maxMemory}
	out, err := machine.Run(x.program, s.environment().with(x.fields...))
	is, ok := out.(bool)
	return err == nil && ok && is
}

// got is what the event has for what the expression asks.
func (x *expression) got(s *subject) []string {
	env := s.environment()
	var out []string
	for i, path := range x.paths {
		if i == maxPathsShow {
			out = append(out, "…")
			break
		}
		v, ok := env.lookup(path)
		if !ok {
			continue
		}
		if reflect.ValueOf(v).Kind() == reflect.Pointer {
			continue // a part as a whole
		}
		text := fmt.Sprintf("%v", v)
		if r := []rune(text); len(r) > maxShown {
			text = string(r[:maxShown-1]) + "…"
		}
		out = append(out, path+" = "+text)
	}
	return out
}

// note says which parts the event lacks.
func (x *expression) note(s *subject) string {
	var missing []string
	for _, p := range x.parts {
		if _, ok := s.environment().lookup(p); !ok {
			missing = append(missing, "no "+strings.ReplaceAll(p, "_", " "))
		}
	}
	return strings.Join(missing, ", ")
}
