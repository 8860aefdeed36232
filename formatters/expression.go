package formatters

import (
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"
)

// concrete is what an interface holds.
func concrete(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

// truth is what if and with ask.
func truth(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Invalid:
		return false
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len() > 0
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Pointer:
		return !v.IsZero()
	case reflect.Struct:
		return true
	}
	panic(unfit{})
}

var (
	textType     = reflect.TypeFor[Text]()
	markdownType = reflect.TypeFor[Markdown]()
	stringType   = reflect.TypeFor[string]()
)

// print writes a value.
func (o *output) print(v reflect.Value) {
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		panic(unfit{})
	}
	switch v.Type() {
	case markdownType, stringType:
		o.add(v.String())
		return
	case textType:
		o.add(Text(v.String()).String())
		return
	}
	switch v := v.Interface().(type) {
	case int:
		o.add(strconv.Itoa(v))
	case int64:
		o.add(strconv.FormatInt(v, 10))
	case fmt.Stringer:
		o.add(v.String())
	default:
		panic(unfit{})
	}
}

// add writes a string as text/template would.
func (o *output) add(s string) {
	if err := o.room(len(s)); err != nil {
		panic(unfit{})
	}
	o.buf = append(o.buf, s...)
}

// chain follows a chain of names.
func chain(of expression, names []string) expression {
	for _, name := range names {
		of = lookup(of, name)
	}
	return of
}

// member is what the values of a type have by a name: a method without
// arguments, or a field.
type member struct {
	of    reflect.Type
	call  func(args []any) any // the method, of a pointer; nil for a field
	field int
}

// lookup is what a value has by a name: a field of a struct, an entry of a map, or
// what a method without arguments returns.
func lookup(of expression, name string) expression {
	var last atomic.Pointer[member]
	return func(o *output, dot reflect.Value) reflect.Value {
		v := of(o, dot)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if !v.IsValid() {
			panic(unfit{})
		}
		if v.Kind() == reflect.Map {
			return entry(v.Interface(), name)
		}
		m := last.Load()
		if m == nil || m.of != v.Type() {
			m = memberOf(v.Type(), name)
			last.Store(m)
		}
		if m.call == nil {
			return v.Field(m.field)
		}
		o.args = append(o.args, v.Addr().Interface())
		return o.result(m.call, len(o.args)-1)
	}
}

func memberOf(t reflect.Type, name string) *member {
	if m, ok := reflect.PointerTo(t).MethodByName(name); ok {
		if m.Type.NumIn() == 1 && m.Type.NumOut() == 1 {
			return &member{of: t, call: caller(m.Func.Interface())}
		}
	} else if t.Kind() == reflect.Struct {
		if f, ok := t.FieldByName(name); ok && f.IsExported() && len(f.Index) == 1 {
			return &member{of: t, field: f.Index[0]}
		}
	}
	panic(unfit{})
}

func entry(m any, name string) reflect.Value {
	var v any
	var ok bool
	switch m := m.(type) {
	case entries:
		v, ok = m[name]
		ok = ok && name != "String" // the method
	case map[string]any:
		v, ok = m[name]
	}
	if !ok {
		panic(unfit{})
	}
	return reflect.ValueOf(v)
}

// lazy tells whether a function looks at no more of its arguments than it needs.
func lazy(name string) bool { return name == "and" || name == "or" }

// function calls a function.
func function(name string, args []expression) expression {
	if len(args) > 0 && lazy(name) {
		return func(o *output, dot reflect.Value) (v reflect.Value) {
			for _, arg := range args {
				if v = arg(o, dot); truth(v) == (name == "or") {
					break
				}
			}
			return v
		}
	}
	f, ok := natives[name]
	if !ok || len(args) < f.least || len(args) > f.most {
		panic(unfit{})
	}
	return func(o *output, dot reflect.Value) reflect.Value {
		base := len(o.args)
		for _, arg := range args {
			if v := arg(o, dot); v.IsValid() {
				o.args = append(o.args, v.Interface())
			} else {
				o.args = append(o.args, nil)
			}
		}
		if !o.charge(o.args[base:]) {
			panic(unfit{})
		}
		return o.result(f.call, base)
	}
}

// result calls a function with the last arguments, from base on.
func (o *output) result(call func(args []any) any, base int) reflect.Value {
	v := call(o.args[base:])
	clear(o.args[base:])
	o.args = o.args[:base]
	return reflect.ValueOf(v)
}
