package problem

import (
	"errors"
	"fmt"
	"testing"
)

func TestOf(t *testing.T) {
	sentinel := As(UnmountedShare, errors.New("no share here"))
	plain := errors.New("unit failed")
	for _, c := range []struct {
		err  error
		want ID
	}{
		{nil, ""},
		{plain, ""},
		{As("", plain), ""},
		{sentinel, UnmountedShare},
		{fmt.Errorf("M2: %w: /nfs", sentinel), UnmountedShare},
		{errors.Join(plain, sentinel), UnmountedShare},
		{As(RefusedKey, sentinel), RefusedKey}, // whoever says it last knows best
	} {
		if got := Of(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	if As(RefusedKey, nil) != nil || !errors.Is(fmt.Errorf("M2: %w", sentinel), sentinel) || sentinel.Error() != "no share here" {
		t.Error("an error with an id is not what it was")
	}
}
