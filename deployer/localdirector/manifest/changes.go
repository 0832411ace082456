package manifest

import (
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// changes compares two hashes. What is shown may be redacted; what is compared
// is not.
type changes struct {
	before, after           *hash
	shownBefore, shownAfter *hash
}

// lines lists what changed, keys of before first. A hash that changed inside
// appears as its key, unmarked, with the changes below it.
func (c changes) lines(indent int) []line {
	keys := slices.Clone(c.before.Keys)
	for _, k := range c.after.Keys {
		if !c.before.Has(k) {
			keys = append(keys, k)
		}
	}
	var out []line
	for _, k := range keys {
		out = append(out, c.key(k, indent)...)
	}
	return out
}

func (c changes) key(k string, indent int) []line {
	old, _ := get(c.before, k)
	new, _ := get(c.after, k)
	shownOld, _ := get(c.shownBefore, k)
	shownNew, _ := get(c.shownAfter, k)
	if equal(old, new) {
		return nil
	}
	oldHash, isHash1 := old.(*hash)
	newHash, isHash2 := new.(*hash)
	oldList, isList1 := old.([]any)
	newList, isList2 := new.([]any)
	switch {
	case old == nil:
		return headed(keyLines(k, shownNew), indent, "added")
	case new == nil:
		return headed(keyLines(k, shownOld), indent, "removed")
	case isList1 && isList2:
		below := compareLists(oldList, newList, shownOld.([]any), shownNew.([]any), indent)
		if len(below) == 0 {
			return nil
		}
		return append([]line{{indent, lineOf(k) + ":", nil, indent == 0}}, below...)
	case isHash1 && isHash2:
		below := changes{oldHash, newHash, shownOld.(*hash), shownNew.(*hash)}.lines(indent + 1)
		if len(below) == 0 {
			return nil
		}
		return append([]line{{indent, lineOf(k) + ":", nil, indent == 0}}, below...)
	}
	return append(headed(keyLines(k, shownOld), indent, "removed"), headed(keyLines(k, shownNew), indent, "added")...)
}

// headed marks the first of some lines as the head of a section when they are
// not indented.
func headed(texts []string, indent int, status any) []line {
	out := unheaded(texts, indent, status)
	if indent == 0 && len(out) > 0 {
		out[0].section = true
	}
	return out
}

func unheaded(texts []string, indent int, status any) []line {
	out := make([]line, len(texts))
	for i, t := range texts {
		out[i] = line{indent: indent, text: t, status: status}
	}
	return out
}

// element of a list: what it is and what is shown of it.
type element struct{ value, shown any }

// compareLists shows elements that came and that went. Elements with the same
// name, or the same range, are compared instead.
func compareLists(old, new, shownOld, shownNew []any, indent int) []line {
	before, after := elements(old, shownOld), elements(new, shownNew)
	added, removed := without(after, before), without(before, after)
	identity := identityKey(append(slices.Clone(added), removed...))
	var out []line
	for _, e := range added {
		h, isHash := open(e.value).(*hash)
		if isHash && identity != "" {
			i := slices.IndexFunc(removed, func(r element) bool {
				o, ok := open(r.value).(*hash)
				return ok && equal(o.Values[identity], h.Values[identity])
			})
			if i >= 0 {
				was := removed[i]
				removed = slices.Delete(removed, i, i+1)
				out = append(out, changedElement(was, e, identity, indent)...)
				continue
			}
		}
		out = append(out, unheaded(yamlLines([]any{e.shown}), indent, "added")...)
	}
	if len(removed) > 0 {
		gone := make([]any, len(removed))
		for i, e := range removed {
			gone[i] = e.shown
		}
		out = append(out, unheaded(yamlLines(gone), indent, "removed")...)
	}
	return out
}

func changedElement(was, is element, identity string, indent int) []line {
	old, new := open(was.value).(*hash), open(is.value).(*hash)
	shownOld, shownNew := open(was.shown).(*hash), open(is.shown).(*hash)
	below := changes{old, new, shownOld, shownNew}.lines(indent + 1)
	if len(below) == 0 {
		return nil
	}
	head := psych.NewHash(1)
	head.Set(identity, shownNew.Values[identity])
	return append(unheaded(yamlLines([]any{head}), indent, nil), below...)
}

func elements(values, shown []any) []element {
	out := make([]element, len(values))
	for i := range values {
		out[i] = element{values[i], shown[i]}
	}
	return out
}

func without(list, other []element) []element {
	var out []element
	for _, e := range list {
		same := func(o element) bool { return equal(e.value, o.value) && equal(e.shown, o.shown) }
		if !slices.ContainsFunc(other, same) {
			out = append(out, e)
		}
	}
	return out
}

// identityKey is the key by which all elements can be told apart, if any.
func identityKey(list []element) string {
	for _, key := range []string{"name", "range"} {
		all := true
		for _, e := range list {
			if e.value == nil {
				continue
			}
			h, ok := open(e.value).(*hash)
			v, _ := get(h, key)
			all = all && ok && v != nil && v != false
		}
		if all {
			return key
		}
	}
	return ""
}
