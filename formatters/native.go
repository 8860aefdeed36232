package formatters

import (
	"math"
	"reflect"
	"time"
)

// native is a function that a program calls without reflection.
type native struct {
	call        func(args []any) any // it does not keep args
	least, most int                  // of arguments
}

// natives are the functions of templates, by name: ours, and those of
// text/template that compare.
var natives = withComparisons(nativesOf(functions))

func nativesOf(functions map[string]any) map[string]native {
	out := map[string]native{}
	for name, f := range functions {
		n := reflect.TypeOf(f).NumIn()
		if reflect.TypeOf(f).IsVariadic() {
			out[name] = native{caller(f), n - 1, math.MaxInt}
		} else {
			out[name] = native{caller(f), n, n}
		}
	}
	return out
}

// caller returns what calls a function, or a method of its first argument. What
// most messages call is of the types listed here.
func caller(f any) func(args []any) any {
	switch f := f.(type) {
	case func(any) Markdown:
		return one(f)
	case func(any) Text:
		return one(f)
	case func(*Data) Markdown:
		return one(f)
	case func(*Document) Markdown:
		return one(f)
	case func(time.Duration) Markdown:
		return one(f)
	case func(int) string:
		return one(f)
	case func(*Data) bool:
		return one(f)
	case func(*Push) []Commit:
		return one(f)
	case func(*Push) int:
		return one(f)
	case func(*Pipeline) []StageJobs:
		return one(f)
	case func(*Pipeline) bool:
		return one(f)
	case func(any, any) Markdown:
		return two(f)
	case func(any, User) Markdown:
		return two(f)
	case func(any, any) URL:
		return two(f)
	case func(int, any) (Text, error):
		return two(func(n int, v any) Text { return sure(f(n, v)) })
	case func(any, any) (Markdown, error):
		return two(func(a, b any) Markdown { return sure(f(a, b)) })
	case func(int, int, any, any) (Markdown, error):
		return func(a []any) any { return sure(f(as[int](a[0]), as[int](a[1]), a[2], a[3])) }
	case func(any, any, ...any) Markdown:
		return func(a []any) any { return f(a[0], a[1], a[2:]...) }
	case func(...any) Text:
		return func(a []any) any { return f(a...) }
	case func(...any) (any, error):
		return func(a []any) any { return sure(f(a...)) }
	case func(...any) (entries, error):
		return func(a []any) any { return sure(f(a...)) }
	}
	return reflected(reflect.ValueOf(f))
}

// reflected calls a function of any type.
func reflected(f reflect.Value) func(args []any) any {
	return func(args []any) any {
		in := make([]reflect.Value, len(args))
		for i, arg := range args {
			if in[i] = reflect.ValueOf(arg); arg == nil {
				panic(unfit{}) // what of, depends on the parameter
			}
		}
		out := f.Call(in)
		if len(out) > 1 && !out[1].IsNil() {
			panic(unfit{})
		}
		return out[0].Interface()
	}
}

func one[A, R any](f func(A) R) func([]any) any {
	return func(args []any) any { return f(as[A](args[0])) }
}

func two[A, B, R any](f func(A, B) R) func([]any) any {
	return func(args []any) any { return f(as[A](args[0]), as[B](args[1])) }
}

// as is an argument of exactly that type; of others text/template knows whether
// they fit.
func as[T any](arg any) T {
	v, ok := arg.(T)
	if _, takesNil := any(&v).(*any); !ok && !takesNil {
		panic(unfit{})
	}
	return v
}

func sure[T any](v T, err error) T {
	if err != nil {
		panic(unfit{})
	}
	return v
}

func withComparisons(natives map[string]native) map[string]native {
	order := func(holds func(a, b int64) bool) native {
		return native{func(a []any) any { return holds(integer(a[0]), integer(a[1])) }, 2, 2}
	}
	natives["gt"] = order(func(a, b int64) bool { return a > b })
	natives["ge"] = order(func(a, b int64) bool { return a >= b })
	natives["lt"] = order(func(a, b int64) bool { return a < b })
	natives["le"] = order(func(a, b int64) bool { return a <= b })
	natives["not"] = native{func(a []any) any { return !truth(reflect.ValueOf(a[0])) }, 1, 1}
	natives["ne"] = native{func(a []any) any { return !equal(a[0], a[1]) }, 2, 2}
	natives["eq"] = native{func(a []any) any {
		for _, b := range a[1:] {
			if equal(a[0], b) {
				return true
			}
		}
		return false
	}, 2, math.MaxInt}
	return natives
}

func integer(arg any) int64 {
	if v := reflect.ValueOf(arg); v.CanInt() {
		return v.Int()
	}
	panic(unfit{})
}

// equal compares words, or whole numbers.
func equal(a, b any) bool {
	if v, w := reflect.ValueOf(a), reflect.ValueOf(b); v.Kind() == reflect.String && w.Kind() == reflect.String {
		return v.String() == w.String()
	}
	return integer(a) == integer(b)
}
