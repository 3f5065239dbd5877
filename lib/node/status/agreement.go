package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hafs/lib/cluster/record"
)

// unlike finds what members should have in common and do not have: their release and their examination time. Neither is at once a danger: releases differ while
// they are brought to all, and the lease goes by the shortest time.
func unlike(r record.Record, answers map[string]Answer) []Finding {
	var found []Finding
	versions, times, held := map[string][]string{}, map[string][]string{}, map[string][]string{}
	for _, name := range r.Members() {
		a := answers[name]
		if a.Err != nil || a.Details.Facts.Cluster == "" {
			continue
		}
		version, time := a.Details.Facts.Version, "not said"
		if version == "" {
			version = "not said"
		}
		if x := a.Details.Facts.Examination; x > 0 {
			time = x.String()
		}
		if x := a.Details.Facts.Wanted; x > 0 {
			text := fmt.Sprintf("%s, although settings say %s", time, x)
			held[text] = append(held[text], name)
		}
		versions[version] = append(versions[version], name)
		times[time] = append(times[time], name)
	}
	if len(versions) > 1 {
		found = append(found, remedied(Finding{ID: DifferentReleases, Text: "members have different releases: " + groups(versions)}, ""))
	}
	if len(times) > 1 {
		id := DifferentTimes
		if len(times["not said"]) > 0 {
			id = UnsaidExamination
		}
		found = append(found, remedied(Finding{ID: id, Text: "examination times differ: " + groups(times)}, ""))
	}
	for _, name := range r.WithStatus(record.Failed) { // hafs-probe passes over it
		if a := answers[name]; a.Err == nil && a.Details.Facts.Cluster != "" && a.Details.Facts.Examination <= 0 {
			text := name + " says no examination time, so its release is older than this one: it is not taken back before it has this one"
			found = append(found, remedied(Finding{ID: UnsaidExamination, Server: name, Text: text}, ""))
		}
	}
	for _, text := range slices.Sorted(maps.Keys(held)) {
		text := fmt.Sprintf("%s: the examination time stays %s, as a member says none", strings.Join(held[text], " "), text)
		found = append(found, remedied(Finding{ID: KeptExamination, Text: text}, ""))
	}
	return found
}

// groups names who is with the few, and lumps the most together.
func groups(by map[string][]string) string {
	values := slices.Sorted(maps.Keys(by))
	slices.SortStableFunc(values, func(a, b string) int { return len(by[a]) - len(by[b]) })
	var parts []string
	for i, v := range values {
		who := strings.Join(by[v], " ")
		if i == len(values)-1 && len(by[v]) > 1 {
			who = "others"
		}
		parts = append(parts, fmt.Sprintf("%s %s", who, v))
	}
	return strings.Join(parts, ", ")
}
