package promote

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"hafs/lib/cluster/link"
	"hafs/lib/cluster/repair"
	"hafs/lib/host/config"
	"hafs/lib/testkit/recordtest"
)

// linkcheck stands for the hafs-linkcheck of a server: it has verdicts over some servers, and others answer it when asked, well or not. Asked how far it is,
// a server says what positions has of it, or none; who hangs never answers that.
func linkcheck(t *testing.T, verdicts map[string]link.Peer, healthy map[string]bool, positions repair.Positions, hangs ...string) Promoter {
	t.Helper()
	s := config.Defaults()
	s.Name, s.RunDirectory = "W3", t.TempDir()
	listener, err := net.Listen("unix", s.Run("link.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn, verdicts, healthy, positions, hangs)
		}
	}()
	return New(s, zerolog.Nop(), true)
}

func answer(conn net.Conn, verdicts map[string]link.Peer, healthy map[string]bool, positions repair.Positions, hangs []string) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	lines.Scan() // the greeting
	for lines.Scan() {
		var q link.Request
		if json.Unmarshal(lines.Bytes(), &q) != nil {
			return
		}
		r := link.Reply{ID: q.ID}
		if well, answers := healthy[q.To]; q.Kind == link.View {
			r.View = verdicts
		} else if position, has := positions[q.To]; q.Kind == link.Locate && slices.Contains(hangs, q.To) {
			continue
		} else if q.Kind == link.Locate {
			if has {
				r.Position = &position
			}
		} else if answers {
			r.Facts = &link.Facts{Healthy: well}
		} else {
			r.Error = q.To + " is not reached"
		}
		if json.NewEncoder(conn).Encode(r) != nil {
			return
		}
	}
}

// A verdict counts; who has none is asked: DRS2s and spares watch nobody, and nobody watches himself.
func TestWhoAnswers(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/L2 spares=M3 failed=X1")
	p := linkcheck(t, map[string]link.Peer{"L1": {Verdict: link.Alive}, "M2": {Verdict: link.Lost}, "M1": {Verdict: link.Unknown}, "X1": {Verdict: link.Lost}},
		map[string]bool{"W3": true, "M1": true, "L2": false, "M2": true}, repair.Positions{"W3": {Complete: true}})
	got, err := p.Answering(t.Context(), r)
	want := map[string]bool{"L1": true, "W3": true, "M2": false, "M1": true, "L2": false, "M3": false}
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("got %v, %v\nwant %v", got, err, want)
	}
	e, err := p.Explain(t.Context(), r, []string{"L1"})
	if err != nil || !e.Votes.Known || e.Votes.Left != 2 || strings.Join(e.Silent, " ") != "M2 L2 M3" {
		t.Fatalf("%+v, %v", e, err)
	}
}

func TestNobodyToAsk(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2")
	s := config.Defaults()
	s.RunDirectory = filepath.Join(t.TempDir(), "none")
	p := New(s, zerolog.Nop(), true)
	if _, err := p.Answering(t.Context(), r); !errors.Is(err, link.ErrNotRunning) {
		t.Fatal(err)
	}
	if e, err := p.Explain(t.Context(), r, []string{"M2"}); err != nil || e.Votes.Known || !e.Votes.Enough {
		t.Fatalf("%+v, %v", e, err)
	}
}
