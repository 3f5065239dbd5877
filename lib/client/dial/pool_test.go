package dial

import (
	"context"
	"net"
	"strconv"
	"testing"

	"hafs/lib/cluster/record"
)

// A connection that is not wanted any more while it is being made has not failed: nobody would ever take such a failure back.
func TestADialThatIsGivenUpIsNoFailure(t *testing.T) {
	p, _ := world(t, nil)
	// A server that accepts and never says a word.
	door, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(p.keeper.Settings.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		if conn, err := door.Accept(); err == nil {
			defer conn.Close()
			giveUp()
			<-t.Context().Done()
		}
	}()
	p.keeper.pool.renew(ctx, record.Server{Name: "M2", Address: "127.0.0.2"})
	if text, err := p.keeper.pool.failures.text(); err != nil || string(text) != "{}" {
		t.Errorf("failures: %s, %v", text, err)
	}
}
