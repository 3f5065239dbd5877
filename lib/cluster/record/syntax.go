package record

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var (
	yamlLine   = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): (.*)$`)
	unknownKey = regexp.MustCompile(`^field (.+) not found in type .*$`)
	twiceKey   = regexp.MustCompile(`^(?:field|mapping key) "?([^" ]+)"? already .*$`)
)

// syntax turns what the YAML reader says into problems with file and line. Its own words name Go types and, of several problems, put each on a
// line of its own.
func syntax(file string, err error) Invalid {
	texts := []string{err.Error()}
	var several *yaml.TypeError
	if errors.As(err, &several) {
		texts = several.Errors
	}
	problems := Invalid{}
	for _, text := range texts {
		p := Problem{File: file, Text: strings.TrimPrefix(text, "yaml: ")}
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			p.Line, _ = strconv.Atoi(m[1])
			p.Text = m[2]
		}
		if m := unknownKey.FindStringSubmatch(p.Text); m != nil {
			p.Text = "unknown key " + m[1]
		} else if m := twiceKey.FindStringSubmatch(p.Text); m != nil {
			p.Text = "key " + m[1] + " is given twice"
		}
		problems = append(problems, p)
	}
	return problems
}
