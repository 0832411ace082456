package render

import (
	"fmt"
	"strconv"
	"strings"
)

// Error tells of all templates that could not be rendered, in the director's words.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// ErrorCode is the director's code for errors without one of their own.
func (e *Error) ErrorCode() int { return 100 }

// templateError is what went wrong in one template.
type templateError struct {
	Template string `json:"template"`
	Line     string `json:"line"`
	Message  string `json:"message"`
}

func (e templateError) String() string {
	return fmt.Sprintf("Error filling in template '%s' (line %s: %s)", e.Template, e.Line, strings.TrimSpace(e.Message))
}

// faults gathers errors by instance group and job, in the order they came.
// What several instances of a group have in common is told once.
type faults struct{ groups []*groupFaults }

type groupFaults struct {
	name string
	jobs []*jobFaults
}

type jobFaults struct {
	name  string
	lines []string
}

func (f *faults) add(group, job, line string) {
	j := f.group(group).job(job)
	for _, known := range j.lines {
		if known == line {
			return
		}
	}
	j.lines = append(j.lines, line)
}

func (f *faults) group(name string) *groupFaults {
	for _, g := range f.groups {
		if g.name == name {
			return g
		}
	}
	g := &groupFaults{name: name}
	f.groups = append(f.groups, g)
	return g
}

func (g *groupFaults) job(name string) *jobFaults {
	for _, j := range g.jobs {
		if j.name == name {
			return j
		}
	}
	j := &jobFaults{name: name}
	g.jobs = append(g.jobs, j)
	return j
}

// err returns nil when nothing is wrong. The secrets are not in its text.
func (f *faults) err(secrets []string) error {
	if len(f.groups) == 0 {
		return nil
	}
	var groups []string
	for _, g := range f.groups {
		var jobs []string
		for _, j := range g.jobs {
			var lines []string
			for _, line := range j.lines {
				lines = append(lines, "- "+redacted(line, secrets))
			}
			jobs = append(jobs, listed(fmt.Sprintf("- Unable to render templates for job '%s'. Errors are:", j.name), lines))
		}
		groups = append(groups, listed(fmt.Sprintf("- Unable to render jobs for instance group '%s'. Errors are:", g.name), jobs))
	}
	return &Error{Message: listed("Unable to render instance groups for deployment. Errors are:", groups)}
}

// listed puts a header above an indented body.
func listed(header string, items []string) string {
	body := strings.Split(strings.Join(items, "\n"), "\n")
	for i, line := range body {
		body[i] = strings.TrimRight("  "+line, " ")
	}
	return header + "\n" + strings.Join(body, "\n")
}

// shortestSecret is redacted; shorter ones would tear words apart and protect nothing.
const shortestSecret = 4

// redacted removes secrets from a text, also as Ruby quotes them.
func redacted(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < shortestSecret {
			continue
		}
		quoted := strconv.Quote(secret)
		text = strings.ReplaceAll(text, secret, "<redacted>")
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], "<redacted>")
	}
	return text
}
