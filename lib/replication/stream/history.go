package stream

import "hafs/lib/replication/change"

// does notes what is about to be done at a path, or also below it: a batch that breaks off leads to no position, and part of it is done.
func (s *serving) does(path string, below bool) {
	if s.History == nil {
		return
	}
	c := change.Change{Kind: change.Look, Path: path}
	if below {
		c.Kind = change.Rescan
	}
	s.History.Do(c)
}

// since answers what was done to the replica since it had a position.
func (s *serving) since(body []byte) error {
	position, err := cutPosition(body)
	if err != nil {
		return err
	}
	var h history
	if s.History != nil && position != nil {
		h.done, h.from, h.known = s.History.Since(*position)
	}
	answer := appendHistory(nil, h)
	if len(answer) > maxBody {
		answer = appendHistory(nil, history{})
	}
	return s.reply(kindHistory, answer)
}
