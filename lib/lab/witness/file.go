package witness

import (
	"fmt"
	"path"

	"hafs/lib/lab/guests"
)

// ReadFile reads a file of a running guest.
func ReadFile(l *guests.Lab, name, file string) ([]byte, error) {
	read, closeRoot, err := Reader(l, name, "/")
	if err != nil {
		return nil, err
	}
	defer closeRoot()
	return read(file)
}

// Reader reads files below a directory of a running guest.
func Reader(l *guests.Lab, name, directory string) (func(string) ([]byte, error), func() error, error) {
	m, err := guests.Find(name)
	if err != nil {
		return nil, nil, err
	}
	guest, err := openRoot(l.Leader(m))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return func(file string) ([]byte, error) { return guest.read(path.Join(directory, file)) }, guest.Close, nil
}
