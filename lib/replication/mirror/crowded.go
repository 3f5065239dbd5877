package mirror

import "strings"

// crowded is the deepest directory that more than half of the paths are in, or are: ".", if there is no other. What is lacked there becomes one lack, when a
// replica lacks too much to name it path by path; each time that leaves half of the paths at most, and one more.
func crowded(paths []string) string {
	below := map[string]int{}
	for _, path := range paths {
		for at := path; at != "."; {
			at = parent(at)
			below[at]++
		}
	}
	found := "."
	for dir, n := range below {
		if 2*n > len(paths) && dir != "." && (found == "." || strings.HasPrefix(dir, found+"/")) {
			found = dir
		}
	}
	return found
}
