package guests

import (
	"errors"
	"testing"
)

func TestMembersAreThePapersNine(t *testing.T) {
	want := map[string]string{
		"L1": "10.77.0.11", "L2": "10.77.0.12", "L3": "10.77.0.13",
		"M1": "10.77.0.21", "M2": "10.77.0.22", "M3": "10.77.0.23",
		"W1": "10.77.0.31", "W2": "10.77.0.32", "W3": "10.77.0.33",
	}
	if got := len(Members()); got != len(want) {
		t.Fatalf("%d guests, want %d", got, len(want))
	}
	for _, m := range Members() {
		if m.Address != want[m.Name] {
			t.Errorf("%s has %s, want %s", m.Name, m.Address, want[m.Name])
		}
		if m.Interface() != "vb-"+m.Name {
			t.Errorf("%s has interface %s", m.Name, m.Interface())
		}
	}
}

func TestFindRefusesUnknownNames(t *testing.T) {
	for _, name := range []string{"", "l1", "L4", "L1 "} {
		if _, err := Find(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
	if _, err := FindAll([]string{"L1", "X"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("FindAll: %v", err)
	}
	if all, err := FindAll(nil); err != nil || len(all) != 9 {
		t.Errorf("FindAll of nothing: %d guests, %v", len(all), err)
	}
}
