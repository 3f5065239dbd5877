package stream

import (
	"reflect"
	"testing"
)

// A sender of an older version reads what it always read.
func TestResultsForOlderVersionsNameNoSteps(t *testing.T) {
	var r Result
	for i := range 40 {
		r.fail(i, ErrFrame)
	}
	old, err := cutResult(appendResult(nil, r, 3), 3)
	if err != nil {
		t.Fatal(err)
	}
	if old.Of != nil || len(old.Problems) != oldProblems || old.Count != 40 || len(old.Failed) != 40 {
		t.Errorf("%+v", old)
	}
	now, err := cutResult(appendResult(nil, r, Version), Version)
	if err != nil || !reflect.DeepEqual(now, r) {
		t.Errorf("%v\n%+v\n%+v", err, now, r)
	}
}
