package configs

import (
	"fmt"
	"slices"
	"strings"
)

// namedList is an entry of `lists`.
type namedList struct {
	key    field
	values []Pattern
	used   bool
}

const (
	maxListed       = 100_000 // values that all $names of a file stand for
	maxFencedListed = 10_000  // the same of a fenced file
)

// Words of branches, which begin as the name of a list does.
const (
	WordDefault   = "$default"
	WordProtected = "$protected"
)

func isBranchWord(text string) bool { return text == WordDefault || text == WordProtected }

func takesBranchWords(key string) bool { return key == "branches" || key == "target_branches" }

// readLists reads `lists`. They are the file's own: no other file sees them.
func (r *reader) readLists(top object) {
	f, ok := top.fields["lists"]
	if !ok {
		return
	}
	o, ok := r.entries(f.value, "lists")
	if !ok {
		return
	}
	r.nothing(f, "lists")
	lists := map[string]*namedList{}
	for _, name := range o.order {
		key := o.fields[name].key
		if isBranchWord("$" + name) {
			r.errorf(key, "give it another name", "%q is a word of branches, and cannot be the name of a list", name)
			continue
		}
		if !r.name("list", key) {
			continue
		}
		values, _ := r.patterns(o, name)
		lists[name] = &namedList{key: o.fields[name], values: values, used: len(values) == 0}
	}
	r.lists, r.listNames = lists, slices.DeleteFunc(o.order, func(name string) bool { return lists[name] == nil })
}

// listed are the values of the list that an entry names: actors: $contractors.
func (r *reader) listed(o object, key string, v value) []Pattern {
	switch {
	case isBranchWord(v.text) && (takesBranchWords(key) || o.where == "lists"):
		return []Pattern{{Text: v.text, Pos: r.pos(v.node), Written: v.written()}}
	case isBranchWord(v.text):
		r.errorf(v.node, "", "%q is a word of branches and target_branches, in %s of %s", v.shown(), key, o.where)
		return nil
	case o.where == "lists":
		r.errorf(v.node, "name both lists where they are needed: [$a, $b]", "a list cannot hold another list, in %q of lists", harmless(key))
		return nil
	}
	list := r.lists[v.text[1:]]
	if list == nil {
		r.unknownList(o, key, v)
		return nil
	}
	list.used = true
	if r.standFor += len(list.values); r.standFor > maxOf(r.fence, maxListed, maxFencedListed) {
		if r.standFor-len(list.values) <= maxOf(r.fence, maxListed, maxFencedListed) { // once
			r.errorf(v.node, "use shorter lists, or fewer routes with them", "the lists of this file stand for more than %d values", maxOf(r.fence, maxListed, maxFencedListed))
		}
		return nil
	}
	for _, p := range list.values {
		if isBranchWord(p.Text) && !takesBranchWords(key) {
			r.errorf(v.node, "use the list in branches alone, or make one without it", "%s holds %s, a word of branches, in %s of %s", v.shown(), p.Text, key, o.where)
			return nil
		}
	}
	return list.values
}

func (r *reader) unknownList(o object, key string, v value) {
	name := v.text[1:]
	hint := "a list is written lists: {name: […]}, at the top of the same file"
	words := make([]string, 0, len(r.listNames)+2)
	for _, n := range r.listNames {
		words = append(words, "$"+n)
	}
	if takesBranchWords(key) {
		words = append(words, WordDefault, WordProtected)
		hint = "there is " + strings.Join(words, ", ") + "; a branch whose name starts with $ is /^\\$…$/"
	} else if len(words) > 0 {
		hint = "there is " + clip(strings.Join(words, ", "))
	}
	switch s := Suggest(v.text, words); {
	case v.text != v.node.Value:
		hint = "look at what the environment makes of it"
	case s != "":
		hint = fmt.Sprintf("did you mean %q?", s)
	case slices.Contains(words, strings.ToLower(v.text)):
		hint = fmt.Sprintf("did you mean %q?", strings.ToLower(v.text))
	case r.included && slices.Contains(r.mainLists, name):
		hint = "the main file has one; an included file sees only its own: write it there too"
	}
	r.errorf(v.node, hint, "unknown list %q in %s of %s", v.shown(), key, o.where)
}

// unusedLists warns of lists that the file never names.
func (r *reader) unusedLists() {
	for _, name := range r.listNames {
		if list := r.lists[name]; !list.used {
			r.warnf(list.key.key, "name it in a condition: $"+name+", or remove it", "list %q is never used", harmless(name))
		}
	}
}

// asList is the hint for a ${name} that is the name of a list, or a place of an address.
func (r *reader) asList(reference string) (hint string, ok bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(reference, "${"), "}")
	if slices.Contains(placeWords, name) {
		return fmt.Sprintf("what an event says is written without $: {%s}", name), true
	}
	if r.lists[name] == nil {
		return "", false
	}
	return fmt.Sprintf("a list is written without braces: $%s", name), true
}
