package guests

import (
	"slices"
	"testing"
)

func all(is bool) map[string]bool {
	m := map[string]bool{}
	for _, member := range Members() {
		m[member.Name] = is
	}
	return m
}

func whole() facts {
	return facts{Table: true, Key: true, Netns: true, Instances: instances, Raised: true,
		Made: all(true), Running: all(true), Supervised: all(true)}
}

func lines(plan []Step) []string {
	var text []string
	for _, step := range plan {
		text = append(text, step.String())
	}
	return text
}

func expect(t *testing.T, plan []Step, want ...string) {
	t.Helper()
	if got := lines(plan); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUpOnAWholeLabDoesNothing(t *testing.T) { expect(t, planUp(whole())) }

func TestUpStartsOnlyWhoIsDown(t *testing.T) {
	f := whole()
	f.Running["M2"] = false
	expect(t, planUp(f), "start M2")
}

func TestUpUnpacksATreeOnlyForANewGuest(t *testing.T) {
	f := whole()
	f.Made["L1"], f.Running["L1"] = false, false
	expect(t, planUp(f), "unpack the tree", "make L1", "start L1")
}

func TestUpFromNothingNotesFirstThatTheLabIsOurs(t *testing.T) {
	plan := lines(planUp(facts{Instances: 128}))
	want := []string{"write guests.json", "make the ssh key", "raise fs.inotify.max_user_instances", "make the network",
		"unpack the tree", "make L1"}
	if len(plan) != 23 || !slices.Equal(plan[:6], want) {
		t.Errorf("got %d steps: %q", len(plan), plan)
	}
}

func TestUpDoesNotLowerTheInstances(t *testing.T) {
	f := whole()
	f.Instances, f.Raised = 8192, false
	expect(t, planUp(f))
}

func TestDownLeavesALabOfSomebodyElseAlone(t *testing.T) {
	f := whole()
	f.Table = false
	expect(t, planDown(f))
}

func TestDownRemovesTheFilesLast(t *testing.T) {
	plan := lines(planDown(whole()))
	if plan[0] != "kill L1" || plan[len(plan)-1] != "remove the files" || len(plan) != 22 {
		t.Errorf("got %d steps: %q", len(plan), plan)
	}
}

func TestDownRestoresOnlyWhatItRaised(t *testing.T) {
	f := whole()
	f.Raised, f.Netns, f.Supervised = false, false, all(false)
	if plan := lines(planDown(f)); slices.Contains(plan, string(undoInstances)) || slices.Contains(plan, string(undoNetwork)) {
		t.Errorf("got %q", plan)
	}
}
