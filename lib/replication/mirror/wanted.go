package mirror

// Wanted is one replica that a server has to keep.
type Wanted struct {
	Name      string // the server that has it
	Transport string // one of those below
	Target    string // a directory, HOST:DIRECTORY/, or a host
}

// The ways to reach a replica.
const (
	DirectoryTransport = "directory"
	RsyncTransport     = "rsync"
	StreamTransport    = "stream"
)
