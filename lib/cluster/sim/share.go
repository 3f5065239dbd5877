package sim

import (
	"slices"
	"strconv"

	"hafs/lib/replication/change"
)

const (
	paths    = 100 // that operations are about
	hotPaths = 4   // of them, which get a quarter of all operations
)

// share is what a server has: of each path the operations that were done to it, the newest last. A copy by value stays as it is.
type share [paths][]int32

// pathOf is what an operation is about.
func pathOf(op int32) int {
	if op%hotPaths == 0 {
		return int(op) / hotPaths % hotPaths
	}
	return hotPaths + int(op)*37%(paths-hotPaths)
}

func (h *share) do(op int32) {
	p := pathOf(op)
	h[p] = append(slices.Clip(h[p]), op)
}

func (h *share) has(op int32) bool { return slices.Contains(h[pathOf(op)], op) }

// all are its operations in the order in which they were written.
func (h *share) all() []int32 {
	var ops []int32
	for _, at := range h {
		ops = append(ops, at...)
	}
	slices.Sort(ops)
	return ops
}

// startsWith compares what two servers have at a path. An operation is written once, after all that was there: the newest tells what is below it.
func startsWith(ops, start []int32) bool {
	n := len(start)
	return len(ops) >= n && (n == 0 || ops[n-1] == start[n-1])
}

// look is a path as change.History knows it.
func look(path int) change.Change { return change.Change{Kind: change.Look, Path: strconv.Itoa(path)} }

func pathIn(c change.Change) (path int) {
	path, _ = strconv.Atoi(c.Path)
	return path
}
