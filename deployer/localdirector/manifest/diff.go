package manifest

import "github.com/holdfast-osb/holdfast/deployer/localdirector/psych"

// DiffLine is a line of a diff with "added", "removed" or nil; it encodes as
// the director's JSON pair.
type DiffLine [2]any

// DiffSide is a state of a deployment. One that does not exist is the zero value.
type DiffSide struct {
	Manifest     *Document
	CloudConfigs []*Document
}

// DiffDeployments is what a deploy would change, as /deployments/NAME/diff
// answers. "latest" versions are resolved first, on both sides. With redact,
// values of properties are not shown.
func DiffDeployments(before, after DiffSide, have Available, redact bool) ([]DiffLine, error) {
	old, err := before.merged(have)
	if err != nil {
		return nil, err
	}
	new, err := after.merged(have)
	if err != nil {
		return nil, err
	}
	return diffHashes(old, new, redact), nil
}

// DiffConfigs is what an update of a config would change, as /configs/diff
// answers. Either may be nil for none.
func DiffConfigs(before, after *Document) []DiffLine {
	return diffHashes(rootOf(before), rootOf(after), true)
}

func rootOf(d *Document) *hash {
	if d == nil {
		return psych.NewHash(0)
	}
	return d.root
}

// merged is the manifest with the cloud config's sections in it.
func (s DiffSide) merged(have Available) (*hash, error) {
	root, err := resolveVersions(rootOf(s.Manifest), have)
	if err != nil || len(s.CloudConfigs) == 0 {
		return root, err
	}
	cloud, err := MergeConfigs(s.CloudConfigs...)
	if err != nil {
		return nil, err
	}
	for _, k := range cloud.root.Keys {
		root.Set(k, cloud.root.Values[k])
	}
	return root, nil
}

// line of a diff before it is indented. section marks the head of one of the
// document's sections.
type line struct {
	indent  int
	text    string
	status  any
	section bool
}

// sectionOrder is the order in which the director shows sections; others follow.
var sectionOrder = []string{
	"azs:", "vm_types:", "vm_extensions:", "resource_pools:", "compilation:", "networks:", "disk_types:",
	"name:", "stemcells:", "releases:", "update:", "jobs:", "release:", "addons:", "variables:",
}

func diffHashes(before, after *hash, redact bool) []DiffLine {
	shownBefore, shownAfter := before, after
	if redact {
		shownBefore, shownAfter = redactHash(before), redactHash(after)
	}
	c := changes{before, after, shownBefore, shownAfter}
	return inOrder(c.lines(0))
}

// inOrder groups lines by section, orders the sections and puts an empty line
// between them.
func inOrder(lines []line) []DiffLine {
	sections := map[string][]line{}
	var order []string
	for _, l := range lines {
		if l.section {
			if _, seen := sections[l.text]; !seen {
				order = append(order, l.text)
			}
		}
		head := order[len(order)-1]
		if l.section {
			head = l.text
		}
		sections[head] = append(sections[head], l)
	}
	out := []DiffLine{}
	emit := func(head string) {
		for i, l := range sections[head] {
			if i == 0 && len(out) > 0 {
				out = append(out, DiffLine{"", nil})
			}
			out = append(out, DiffLine{spaces(l.indent*2) + l.text, l.status})
		}
		delete(sections, head)
	}
	for _, head := range sectionOrder {
		emit(head)
	}
	for _, head := range order {
		emit(head)
	}
	return out
}

func spaces(n int) string {
	const blank = "                                                                "
	for n > len(blank) {
		return blank + spaces(n-len(blank))
	}
	return blank[:n]
}
