package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// NewerRelease is the refusal of a record that holds something this release does not know. It is not acted in, voted for, kept or passed on: without what is not
// known here it would be another record under the same generation.
type NewerRelease struct {
	Generation uint64
	What       string // such as: unknown field "zone"
}

func (e NewerRelease) Error() string {
	return fmt.Sprintf("generation %d was written by a newer release (%s): bring that release to this server", e.Generation, e.What)
}

// Newer is a NewerRelease if the record holds something that this release does not know.
func (r Record) Newer() error {
	if r.unknown == "" {
		return nil
	}
	return NewerRelease{Generation: r.Generation, What: r.unknown}
}

// UnmarshalJSON takes a record as peers send it and votes hold it. What this release does not know is no error here, so that the rest of the message is
// understood: Newer tells.
func (r *Record) UnmarshalJSON(text []byte) error {
	type plain Record
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(new(plain)); err != nil {
		p.unknown = err.Error()
	}
	for _, s := range p.Servers {
		if !slices.Contains([]Status{Active, Spare, Failed}, s.Status) {
			p.unknown = fmt.Sprintf("status %q of %s", s.Status, s.Name)
		}
	}
	*r = Record(p)
	return nil
}
