package benchmark

import (
	"context"
	"errors"
	"fmt"
)

// csync2 is fired by inotifywait whenever anything changes, and takes its changes to both replicas.
type csync2 struct{ plain }

func (*csync2) Name() string { return "csync2" }

func (*csync2) Settings() []string {
	return []string{"csync2 -x after each burst of inotifywait's events", "nossl", "auto first", "from the source to both replicas"}
}

const csync2Config = `nossl * *;
group bench {
  host %s %s %s;
  key /etc/csync2.key;
  include %s;
  auto first;
}
`

// Events that are there at once are one reason to run it, not many.
const csync2Loop = `inotifywait --monitor --recursive --quiet --format x --event close_write,create,delete,move,attrib ` + directory + ` |
while read -r x; do while read -r -t 0.01 x; do :; done; csync2 -x >/dev/null 2>&1 || csync2 -x; done`

func (s *csync2) Start(ctx context.Context, f *Field) error {
	if err := f.clear(ctx); err != nil {
		return err
	}
	for _, on := range keepers {
		err := errors.Join(f.put(ctx, on, "/etc/csync2.cfg", "600", fmt.Sprintf(csync2Config, source, first, second, directory)),
			f.put(ctx, on, "/etc/csync2.key", "600", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"))
		if err == nil {
			_, err = f.sh(ctx, on, "rm -rf /var/lib/csync2/*")
		}
		if err == nil && on != source {
			err = f.begin(ctx, on, "csync2", "exec csync2 -ii")
		}
		if err != nil {
			return err
		}
	}
	return f.begin(ctx, source, "csync2", csync2Loop)
}

func (s *csync2) Stop(ctx context.Context, f *Field) error { return s.stop(ctx, f) }
