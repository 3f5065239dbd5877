package guests

// State is a guest with what it does now.
type State struct {
	Guest
	State string `json:"state"` // up, frozen or down
}

// States are the states of all guests. On the way guests.json is brought up to date: a guest that went
// down by itself has no leader any more.
func (l *Lab) States() ([]State, error) {
	if _, err := l.Table(); err != nil {
		return nil, err
	}
	if err := l.saveTable(); err != nil {
		return nil, err
	}
	known, err := l.Table()
	if err != nil {
		return nil, err
	}
	var all []State
	for i, m := range Members() {
		state := State{known.Guests[i], "up"}
		switch {
		case state.LeaderPID == 0:
			state.State = "down"
		case l.isFrozen(m):
			state.State = "frozen"
		}
		all = append(all, state)
	}
	return all, nil
}
