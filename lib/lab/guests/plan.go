package guests

import "strings"

// instances is the limit of inotify instances the lab asks for. Nine guests need some 7 each, and root's 128 are one
// share for the whole machine.
const instances = 1024

// facts are what the plans are made from.
type facts struct {
	Table, Key, Netns bool
	Instances         int  // the machine's limit now
	Raised            bool // by this lab or another, and no other is up
	Made, Running     map[string]bool
	Supervised        map[string]bool // its systemd-nspawn is there, perhaps without a guest
}

type verb string

const (
	doTable     verb = "write guests.json"
	doKey       verb = "make the ssh key"
	doInstances verb = "raise fs.inotify.max_user_instances"
	doNetwork   verb = "make the network"
	doTree      verb = "unpack the tree"
	doMake      verb = "make"
	doStart     verb = "start"

	doKill        verb = "kill"
	doUnmount     verb = "unmount"
	undoNetwork   verb = "remove the network"
	undoGroups    verb = "remove the cgroups"
	undoInstances verb = "restore fs.inotify.max_user_instances"
	undoFiles     verb = "remove the files"
)

// Step is one thing to do, to one guest where Guest is set.
type Step struct {
	Do    verb
	Guest Member
}

func (s Step) String() string { return strings.TrimSpace(string(s.Do) + " " + s.Guest.Name) }

// planUp leads to a whole lab. guests.json comes first: it is how a later run knows the namespace for its own.
func planUp(f facts) []Step {
	var plan []Step
	need := func(wanted bool, do verb) {
		if wanted {
			plan = append(plan, Step{Do: do})
		}
	}
	need(!f.Table, doTable)
	need(!f.Key, doKey)
	need(f.Instances < instances, doInstances)
	need(!f.Netns, doNetwork)
	var make, start []Step
	for _, m := range Members() {
		if !f.Made[m.Name] {
			make = append(make, Step{doMake, m})
		}
		if !f.Running[m.Name] {
			start = append(start, Step{doStart, m})
		}
	}
	need(len(make) > 0, doTree)
	return append(append(plan, make...), start...)
}

// planDown leads to nothing but packed trees. Without guests.json nothing here is ours to remove.
func planDown(f facts) []Step {
	if !f.Table {
		return nil
	}
	var plan []Step
	for _, m := range Members() {
		if f.Supervised[m.Name] {
			plan = append(plan, Step{doKill, m})
		}
	}
	for _, m := range Members() {
		plan = append(plan, Step{doUnmount, m})
	}
	if f.Netns {
		plan = append(plan, Step{Do: undoNetwork})
	}
	plan = append(plan, Step{Do: undoGroups})
	if f.Raised {
		plan = append(plan, Step{Do: undoInstances})
	}
	return append(plan, Step{Do: undoFiles})
}
