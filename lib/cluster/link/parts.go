package link

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"hafs/lib/host/problem"
	"hafs/lib/host/system"
)

const (
	// partPatience is how long a unit may be away: one that ends is started again within a second.
	partPatience = 3 * time.Second
	// mountPatience is how long a mount may be: after a change of roles the other side may have to hear of that first.
	mountPatience = 7 * time.Second
	// quietPatience is how long a service may not say that it works; it says so every 2 s.
	quietPatience = 6 * time.Second
	// lately is for how long a unit that is being started counts as one that ends: systemd tries again within a second, and it may end each time.
	lately = 10 * time.Second
	// unseenPatience is for how long what was seen last is taken for what is.
	unseenPatience = 10 * time.Second
)

// always are the units that run on each member whatever its role. This program is missed by others, and hafs-mirror's socket by hafs-mirror.
var always = []string{"hafs-sshd.service", "hafs-dial.service", "hafs-role.service", watchUnit, "hafs-mirror.service"}

const watchUnit = "hafs-watch.service"

// sometimes are those that hafs-role starts and stops. One that is stopped may be meant to be; hafs-role says if it cannot start it.
var sometimes = []string{"hafs-client.service", "hafs-replica@*.service"}

// parts are the units of this server, as far as they are known.
type parts struct {
	seen  time.Time       // when they were looked at last, or should have been for the first time; zero: nobody looks
	ran   map[string]bool // it was seen running, so that it is not just being started for the first time
	away  map[string]away
	quiet map[string]time.Duration // those that do not say that they work
}

// away is a unit that does not run.
type away struct {
	since time.Time
	how   string
	ended time.Time // when it was last seen to have ended by itself; zero: it was not
}

// starting is how a unit is away that was restarted or ended once. It may be well: hafs-watch reads every directory first, which may take minutes.
const starting = "it is being started"

// see takes in how the units are at a moment.
func (p *parts) see(units []system.Unit, now time.Time) {
	if p.ran == nil {
		p.ran, p.away = map[string]bool{}, map[string]away{}
	}
	p.seen, p.quiet = now, map[string]time.Duration{}
	found := map[string]system.Unit{}
	for _, u := range units {
		found[u.Name] = u
	}
	names := slices.AppendSeq(slices.Clone(always), maps.Keys(found))
	names = slices.AppendSeq(names, maps.Keys(p.away))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		u := found[name]
		switch {
		case u.Active == "active" || u.Active == "reloading":
			p.ran[name] = true
			delete(p.away, name)
			if u.Quiet > quietPatience {
				p.quiet[name] = u.Quiet
			}
		case u.Active == "activating" && u.Sub == "auto-restart":
			p.miss(name, "it ends again and again", now, now)
		case u.Active == "activating" && (p.ran[name] || !p.away[name].ended.IsZero()):
			p.miss(name, starting, p.away[name].ended, now)
		case u.Active == "activating": // for the first time
			delete(p.away, name)
		case u.Active == "deactivating":
		case u.Active == "failed" && slices.Contains(always, name):
			p.miss(name, "it has failed", now, now)
		case slices.Contains(always, name):
			p.miss(name, "it is stopped", time.Time{}, now)
		default: // as its role wants it; a mount that was stopped counts as failed for systemd
			delete(p.away, name)
			delete(p.ran, name)
		}
	}
}

func (p *parts) miss(name, how string, ended, now time.Time) {
	a, before := p.away[name]
	if !before {
		a.since = now
	}
	a.how, a.ended = how, ended
	p.away[name] = a
}

// problems are those that have lasted. why is what hafs-watch says when it cannot watch.
func (p *parts) problems(why problem.Problem, now time.Time) []problem.Problem {
	var found []problem.Problem
	if unseen := now.Sub(p.seen); !p.seen.IsZero() && unseen > unseenPatience {
		text := fmt.Sprintf("systemd has not told for %s how units are", unseen.Round(time.Second))
		return append(found, problem.Problem{ID: problem.Unseen, Text: text, Note: true})
	}
	_, watchAway := p.away[watchUnit]
	if watchAway = watchAway || !p.ran[watchUnit]; watchAway && why.Text != "" {
		why.Part = watchUnit
		found = append(found, why)
	}
	for _, name := range slices.Sorted(maps.Keys(p.away)) {
		patience := mountPatience
		if slices.Contains(always, name) {
			patience = partPatience
		}
		if a := p.away[name]; now.Sub(a.since) >= patience && (name != watchUnit || why.Text == "") {
			found = append(found, problem.Problem{
				ID: problem.PartDown, Part: name, Text: fmt.Sprintf("%s does not run: %s", name, a.how), Note: a.how == starting && now.Sub(a.ended) > lately,
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.quiet)) {
		text := fmt.Sprintf("%s hangs: it has not said for %s that it works", name, p.quiet[name].Round(time.Second))
		found = append(found, problem.Problem{ID: problem.PartSilent, Part: name, Text: text})
	}
	return found
}
