package formatters

import (
	"maps"
	"reflect"
	"strings"
	"text/template"
	tree "text/template/parse"
)

// unknownFields finds the fields that a template names and that are not there,
// in all branches, as far as it is clear what the dot and the variables are.
func (k *compiled) unknownFields(t *template.Template) []*mistake {
	c := checker{all: t, file: k.file.base, seen: map[string]bool{}}
	for _, one := range t.Templates() {
		part, _, _ := strings.Cut(one.Name(), ".")
		if one.Tree != nil && one.ParseName == k.file.base && (part == "headline" || part == "body" || part == "color") {
			c.template(one.Name(), reflect.TypeFor[*Data]())
		}
	}
	return c.found
}

// checker goes through a template with the types of what it meets; nil is a type
// that is not known.
type checker struct {
	all   *template.Template
	file  string
	seen  map[string]bool // templates, with the type of their dot
	in    *tree.Tree
	found []*mistake
}

// scope is the types of the dot and of the variables.
type scope struct {
	dot  reflect.Type
	vars map[string]reflect.Type
}

func (s scope) with(dot reflect.Type) scope { return scope{dot, maps.Clone(s.vars)} }

// template checks a template that is given a dot of that type.
func (c *checker) template(name string, dot reflect.Type) {
	one := c.all.Lookup(name)
	if one == nil || one.Tree == nil || dot == nil || c.seen[name+" "+dot.String()] {
		return
	}
	c.seen[name+" "+dot.String()] = true
	outer := c.in
	c.in = one.Tree
	c.list(one.Root, scope{dot, map[string]reflect.Type{"$": dot}})
	c.in = outer
}

func (c *checker) list(l *tree.ListNode, s scope) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *tree.ActionNode:
			c.pipe(n.Pipe, s, false)
		case *tree.IfNode:
			inner := s.with(s.dot)
			c.pipe(n.Pipe, inner, false)
			c.list(n.List, inner)
			c.list(n.ElseList, inner)
		case *tree.WithNode:
			inner := s.with(s.dot)
			inner.dot = c.pipe(n.Pipe, inner, false)
			c.list(n.List, inner)
			c.list(n.ElseList, inner.with(s.dot))
		case *tree.RangeNode:
			inner := s.with(s.dot)
			inner.dot = c.pipe(n.Pipe, inner, true)
			c.list(n.List, inner)
			c.list(n.ElseList, s)
		case *tree.TemplateNode:
			c.template(n.Name, c.pipe(n.Pipe, s, false))
		}
	}
}

// pipe is the type of a pipeline, which in a range is that of an element. It
// sets the variables that the pipeline declares.
func (c *checker) pipe(p *tree.PipeNode, s scope, each bool) reflect.Type {
	if p == nil {
		return nil
	}
	var t reflect.Type
	for _, cmd := range p.Cmds {
		t = c.command(cmd, s)
	}
	if each {
		t = element(t)
	}
	for i, v := range p.Decl {
		typ := t
		if each && len(p.Decl) == 2 && i == 0 || p.IsAssign {
			typ = nil
		}
		s.vars[v.Ident[0]] = typ
	}
	return t
}

func element(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Slice {
		return known(t.Elem())
	}
	return nil
}

// known is a type about which something is known.
func known(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() == reflect.Interface {
		return nil
	}
	return t
}

func (c *checker) command(cmd *tree.CommandNode, s scope) reflect.Type {
	types := make([]reflect.Type, len(cmd.Args))
	for i, arg := range cmd.Args {
		types[i] = c.argument(arg, s)
	}
	name, ok := cmd.Args[0].(*tree.IdentifierNode)
	if !ok {
		return types[0]
	}
	if f := functions[name.Ident]; f != nil {
		return known(reflect.TypeOf(f).Out(0))
	}
	if name.Ident == "index" && len(types) == 3 {
		return element(types[1])
	}
	return nil
}

func (c *checker) argument(n tree.Node, s scope) reflect.Type {
	switch n := n.(type) {
	case *tree.DotNode:
		return s.dot
	case *tree.FieldNode:
		return c.fields(n, s.dot, n.Ident)
	case *tree.VariableNode:
		return c.fields(n, s.vars[n.Ident[0]], n.Ident[1:])
	case *tree.ChainNode:
		return c.fields(n, c.argument(n.Node, s), n.Field)
	case *tree.PipeNode:
		return c.pipe(n, s, false)
	}
	return nil
}

// fields follows a chain of fields.
func (c *checker) fields(n tree.Node, t reflect.Type, names []string) reflect.Type {
	for _, name := range names {
		if t == nil {
			return nil
		}
		next, ok := fieldOf(t, name)
		if !ok {
			m := mistakeAt(c.in, n, "")
			m.expr = n.String()
			m.unknownField(name, t.String())
			c.found = append(c.found, m)
			return nil
		}
		t = known(next)
	}
	return t
}

// fieldOf is the type of a field or of a method without arguments.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	p := t
	if p.Kind() != reflect.Pointer {
		p = reflect.PointerTo(t)
	}
	if m, ok := p.MethodByName(name); ok {
		return m.Type.Out(0), true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		if f, ok := t.FieldByName(name); ok && f.IsExported() {
			return f.Type, true
		}
	}
	return nil, false
}
