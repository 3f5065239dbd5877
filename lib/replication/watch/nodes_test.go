package watch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// A tree is built, changed line by line, and drawn:
//
//	add WD PATH       a directory with this watch appears at a path
//	move WD PATH      a known one appears there
//	loosen WD         it left its name
//	gone WD           the kernel watches it no more
//	sweep             as after half a second; prints the watches it drops
//	tree PATH=WD ...  what is there, and nothing else; loose ones are WD alone
func TestNodes(t *testing.T) {
	stories, err := scenarios("testdata/nodes.txt")
	must(t, err)
	for name, lines := range stories {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			tree := newNodes()
			tree.top = tree.add(0)
			delete(tree.loose, tree.top)
			for _, line := range lines {
				playNodes(t, tree, line)
			}
		})
	}
}

func playNodes(t *testing.T, tree *nodes, line string) {
	t.Helper()
	words := strings.Fields(line)
	var n *node
	var wd int32
	if len(words) > 1 && words[0] != "tree" && words[0] != "sweep" {
		_, err := fmt.Sscan(words[1], &wd)
		must(t, err)
		n = tree.known[wd]
	}
	switch words[0] {
	case "add":
		n = tree.add(wd)
		fallthrough
	case "move":
		dir, name := tree.top, words[2]
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			dir, name = at(t, tree, name[:i]), name[i+1:]
		}
		tree.move(n, dir, name)
	case "loosen":
		tree.loosen(n)
	case "gone":
		tree.gone(n)
	case "sweep":
		dropped := []string{}
		tree.sweep(func(wd int32) { dropped = append(dropped, fmt.Sprint(wd)) })
		slices.Sort(dropped)
		if !slices.Equal(dropped, words[1:]) {
			t.Errorf("%s: dropped %v", line, dropped)
		}
	case "tree":
		if got := draw(tree); got != strings.Join(words[1:], " ") {
			t.Errorf("%s: got %s", line, got)
		}
	default:
		t.Fatalf("unknown verb in %q", line)
	}
}

func at(t *testing.T, tree *nodes, path string) *node {
	t.Helper()
	n := tree.top
	for name := range strings.SplitSeq(path, "/") {
		if n = n.child(name); n == nil {
			t.Fatalf("nothing at %s", path)
		}
	}
	return n
}

func draw(tree *nodes) string {
	var all []string
	for wd, n := range tree.known {
		if n == tree.top {
			continue
		}
		text := fmt.Sprint(wd)
		if path, placed := tree.path(n); placed {
			text = path + "=" + text
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The tree against a map of paths, on random moves: a rename of a path renames all that begins with it.
func TestNodesAgainstPaths(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		tree := newNodes()
		tree.top = tree.add(0)
		delete(tree.loose, tree.top)
		paths := map[int32]string{} // the obvious twin
		for step := range int32(60) {
			to, dir := "", tree.top
			if len(paths) > 0 && rnd.IntN(3) > 0 {
				wd := pick(rnd, paths)
				to, dir = paths[wd]+"/", tree.known[wd]
			}
			to += string(rune('a' + rnd.IntN(4)))
			_, name := to, to[len(to)-1:]
			var n *node
			if len(paths) > 0 && rnd.IntN(2) == 0 {
				n = tree.known[pick(rnd, paths)]
				from := paths[n.wd]
				if to == from || strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/") {
					continue
				}
				n = tree.known[n.wd]
				remove(paths, to)
				for wd, p := range paths {
					if p == from || strings.HasPrefix(p, from+"/") {
						paths[wd] = to + p[len(from):]
					}
				}
			} else {
				n = tree.add(step + 1)
				remove(paths, to)
				paths[n.wd] = to
			}
			tree.move(n, dir, name)
			for loose := range tree.loose {
				tree.drop(loose, func(int32) {})
			}
			var want []string
			for wd, p := range paths {
				want = append(want, fmt.Sprintf("%s=%d", p, wd))
			}
			slices.Sort(want)
			if got := draw(tree); got != strings.Join(want, " ") {
				t.Fatalf("seed %d: %s to %s: got %s, want %v", seed, fmt.Sprint(n.wd), to, got, want)
			}
		}
	}
}

func pick(rnd *rand.Rand, paths map[int32]string) int32 {
	var all []int32
	for wd := range paths {
		all = append(all, wd)
	}
	slices.Sort(all)
	return all[rnd.IntN(len(all))]
}

func remove(paths map[int32]string, path string) {
	for wd, p := range paths {
		if p == path || strings.HasPrefix(p, path+"/") {
			delete(paths, wd)
		}
	}
}

// A rename moves one node, however much is below it: nothing below it is touched or allocated.
func TestRenameCostsARename(t *testing.T) {
	tree := newNodes()
	tree.top = tree.add(0)
	delete(tree.loose, tree.top)
	big := tree.add(1)
	tree.move(big, tree.top, "0")
	for i := range int32(10_000) {
		tree.move(tree.add(i+2), big, fmt.Sprintf("%05d", i))
	}
	i := 0
	allocated := testing.AllocsPerRun(100, func() {
		i++
		tree.loosen(big)
		tree.move(big, tree.top, []string{"0", "1"}[i%2])
	})
	if allocated > 3 {
		t.Errorf("%v allocations", allocated)
	}
}

// scenarios reads a file of stories: "== NAME", and its lines without comments.
func scenarios(file string) (map[string][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	stories := map[string][]string{}
	for _, story := range strings.Split(string(text), "\n== ")[1:] {
		name, rest, _ := strings.Cut(story, "\n")
		for line := range strings.SplitSeq(rest, "\n") {
			if line != "" && !strings.HasPrefix(line, "#") {
				stories[name] = append(stories[name], line)
			}
		}
	}
	return stories, nil
}
