package events

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// dump prints what an event holds, one line a value, without zero values and
// without the payload: what the goldens hold.
func dump(e *Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", e.Name())
	dumpStruct(&b, "", reflect.ValueOf(*e))
	return b.String()
}

func dumpStruct(b *strings.Builder, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if prefix == "" && name == "Payload" {
			continue
		}
		dumpValue(b, prefix+name, v.Field(i))
	}
}

func dumpValue(b *strings.Builder, path string, v reflect.Value) {
	if v.IsZero() {
		return
	}
	switch value := v.Interface().(type) {
	case time.Time:
		fmt.Fprintf(b, "%s: %s\n", path, value.Format(time.RFC3339Nano))
		return
	case time.Duration:
		fmt.Fprintf(b, "%s: %s\n", path, value)
		return
	case []string:
		fmt.Fprintf(b, "%s: %q\n", path, value)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		dumpValue(b, path, v.Elem())
	case reflect.Struct:
		dumpStruct(b, path+".", v)
	case reflect.Slice:
		for i := range v.Len() {
			dumpValue(b, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.String:
		fmt.Fprintf(b, "%s: %q\n", path, v.String())
	default:
		fmt.Fprintf(b, "%s: %v\n", path, v.Interface())
	}
}
