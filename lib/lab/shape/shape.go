// Package shape describes in few words who should do what in a cluster, and says what of a record is otherwise. moves.go
// finds the way from one record to such a shape by planned changes alone.
//
// Everything here is pure.
package shape

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hafs/lib/cluster/record"
)

// Shape is what is expected of a record. What is left out may be anything.
type Shape struct {
	FS      string              // file sharing server; empty: any
	Pairs   map[int]record.Pair // number of a pair, from 1 → who is in it; a place that is empty may be filled by anybody
	Failed  []string            // exactly these are failed, in no order; nil: any
	Spares  []string            // exactly these are spares
	Trouble []string            // exactly these places are in trouble, such as 1.drs2
}

// None stands for an empty list: --failed none.
const None = "none"

// ParsePair reads "1=M2/M3". A place written as * may be filled by anybody.
func ParsePair(text string) (int, record.Pair, error) {
	number, places, found := strings.Cut(text, "=")
	first, second, both := strings.Cut(places, "/")
	n, err := strconv.Atoi(number)
	if !found || !both || err != nil || n < 1 || first == "" || second == "" {
		return 0, record.Pair{}, fmt.Errorf("%q is no pair: write NUMBER=DRS1/DRS2, such as 1=W3/M2", text)
	}
	return n, record.Pair{DRS1: anybody(first), DRS2: anybody(second)}, nil
}

func anybody(name string) string {
	if name == "*" {
		return ""
	}
	return name
}

// ParseNames reads a list: nothing said, or nobody ("none"), or names.
func ParseNames(items []string) ([]string, error) {
	switch {
	case len(items) == 0:
		return nil, nil
	case len(items) == 1 && items[0] == None:
		return []string{}, nil
	}
	for _, item := range items {
		if item == None || item == "" {
			return nil, fmt.Errorf("%q does not go with other names", item)
		}
	}
	return items, nil
}

// Of is the shape a record has, with everything in it.
func Of(r record.Record) Shape {
	s := Shape{FS: r.FS.Name, Pairs: map[int]record.Pair{}, Failed: orEmpty(r.WithStatus(record.Failed)),
		Spares: orEmpty(r.WithStatus(record.Spare)), Trouble: troubles(r)}
	for i, p := range r.Pairs {
		s.Pairs[i+1] = p
	}
	return s
}

// String is a shape on one line, in the words the flags use.
func (s Shape) String() string {
	var words []string
	if s.FS != "" {
		words = append(words, "fs="+s.FS)
	}
	for _, n := range numbers(s.Pairs) {
		p := s.Pairs[n]
		words = append(words, fmt.Sprintf("pair %d=%s/%s", n, orAnybody(p.DRS1), orAnybody(p.DRS2)))
	}
	for _, list := range []struct {
		word  string
		names []string
	}{{"failed", s.Failed}, {"spare", s.Spares}, {"trouble", s.Trouble}} {
		if list.names != nil {
			words = append(words, list.word+"="+orNone(list.names))
		}
	}
	return strings.Join(words, " ")
}

// Mismatches lists what is not as expected, in words; none means that the record has the shape.
func (s Shape) Mismatches(r record.Record) []string {
	var all []string
	expect := func(what, want, got string) {
		if want != got {
			all = append(all, fmt.Sprintf("%s is %s, not %s", what, got, want))
		}
	}
	if s.FS != "" {
		expect("fs", s.FS, r.FS.Name)
	}
	for _, n := range numbers(s.Pairs) {
		if n > len(r.Pairs) {
			all = append(all, fmt.Sprintf("there is no pair %d", n))
			continue
		}
		want, got := s.Pairs[n], r.Pairs[n-1]
		if want.DRS1 != "" {
			expect(fmt.Sprintf("drs1 of pair %d", n), want.DRS1, got.DRS1)
		}
		if want.DRS2 != "" {
			expect(fmt.Sprintf("drs2 of pair %d", n), want.DRS2, got.DRS2)
		}
	}
	for _, list := range []struct {
		what      string
		want, got []string
	}{{"failed", s.Failed, r.WithStatus(record.Failed)}, {"spare", s.Spares, r.WithStatus(record.Spare)}, {"trouble", s.Trouble, troubles(r)}} {
		if list.want != nil {
			expect(list.what, orNone(sorted(list.want)), orNone(sorted(list.got)))
		}
	}
	return all
}

func troubles(r record.Record) []string {
	all := []string{}
	for i, p := range r.Pairs {
		if p.DRS1 == record.Trouble {
			all = append(all, fmt.Sprintf("%d.drs1", i+1))
		}
		if p.DRS2 == record.Trouble {
			all = append(all, fmt.Sprintf("%d.drs2", i+1))
		}
	}
	return all
}

func numbers(pairs map[int]record.Pair) []int {
	var all []int
	for n := range pairs {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func orNone(names []string) string {
	if len(names) == 0 {
		return None
	}
	return strings.Join(names, ",")
}

func orAnybody(name string) string {
	if name == "" {
		return "*"
	}
	return name
}

func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
