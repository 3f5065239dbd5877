package change

// Position says how far a copy of the share has come.
type Position struct {
	Generation uint64
	Number     uint64 // every change up to this one is on the copy
	Complete   bool   // and everything was compared once: the copy is fit to succeed the share
	Exact      bool   `json:",omitempty"` // and it lacks no single path, nor was more than what it has known when it came to it
}

// Before says whether a position is of an older state of the share than another one.
func (p Position) Before(q Position) bool {
	if p.Generation != q.Generation {
		return p.Generation < q.Generation
	}
	return p.Number < q.Number
}
