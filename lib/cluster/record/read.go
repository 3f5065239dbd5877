package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"hafs/lib/host/exitcode"
)

// maxFileBytes bounds what is read of one of the three files: 100 servers take 8 KiB.
const maxFileBytes = 1 << 20

type serverList struct {
	Cluster    string   `yaml:"cluster"`
	Generation uint64   `yaml:"generation"`
	Servers    []Server `yaml:"servers"`
}

type fileSharingServer struct {
	Cluster    string `yaml:"cluster"`
	Generation uint64 `yaml:"generation"`
	FileServer `yaml:",inline"`
}

type dataRedundancyServer struct {
	Cluster       string `yaml:"cluster"`
	Generation    uint64 `yaml:"generation"`
	DataDirectory string `yaml:"data_directory"`
	ClientMount   string `yaml:"client_mount"`
	Pairs         []Pair `yaml:"pairs"`
}

// Load reads and validates the three files of one generation. Links in dir are resolved once, so that the three files
// are of one generation even while a newer one is being installed.
func Load(dir string) (Record, error) {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	texts := map[string][]byte{}
	for _, name := range []string{ServerListFile, FileServerFile, DataRedundancyFile} {
		text, err := readBounded(filepath.Join(resolved, name))
		if err != nil {
			return Record{}, fmt.Errorf("record: %w", err)
		}
		texts[name] = text
	}
	r, err := Decode(texts)
	if err != nil { // what cannot be read is a failure; what should not be believed is refused
		return Record{}, exitcode.With(exitcode.Refused, fmt.Errorf("record %s: %w", resolved, err))
	}
	return r, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFileBytes)
	}
	return text, nil
}

// Decode makes a record of the texts of the three files, keyed by file name, and validates it.
func Decode(texts map[string][]byte) (Record, error) {
	var (
		list serverList
		fs   fileSharingServer
		drs  dataRedundancyServer
	)
	lines := lineIndex{}
	var problems Invalid
	for _, f := range []struct {
		name string
		into any
	}{{ServerListFile, &list}, {FileServerFile, &fs}, {DataRedundancyFile, &drs}} {
		if err := decodeStrict(texts[f.name], f.into); err != nil {
			problems = append(problems, syntax(f.name, err)...)
		}
		lines.add(f.name, texts[f.name])
	}
	if len(problems) > 0 {
		return Record{}, problems
	}
	for _, f := range []struct {
		name, cluster string
		generation    uint64
	}{{FileServerFile, fs.Cluster, fs.Generation}, {DataRedundancyFile, drs.Cluster, drs.Generation}} {
		if f.cluster != list.Cluster {
			problems = append(problems, Problem{File: f.name, Line: lines[f.name+" cluster"], Text: fmt.Sprintf("cluster %q, but %s says %q", f.cluster, ServerListFile, list.Cluster)})
		}
		if f.generation != list.Generation {
			problems = append(problems, Problem{File: f.name, Line: lines[f.name+" generation"], Text: fmt.Sprintf("generation %d, but %s says %d", f.generation, ServerListFile, list.Generation)})
		}
	}
	if len(problems) > 0 {
		return Record{}, problems
	}
	r := Record{
		Cluster: list.Cluster, Generation: list.Generation, Servers: list.Servers, FS: fs.FileServer,
		DataDirectory: drs.DataDirectory, ClientMount: drs.ClientMount, Pairs: drs.Pairs,
	}
	var invalid Invalid
	if errors.As(r.Validate(), &invalid) {
		for i, p := range invalid {
			invalid[i].Line = lines.of(p.File, p.Key)
		}
		return Record{}, invalid
	}
	return r, nil
}

func decodeStrict(text []byte, into any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("the file is empty")
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	return nil
}

// lineIndex maps "file key" to the line of that key's value.
type lineIndex map[string]int

func (l lineIndex) add(file string, text []byte) {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) == nil && len(doc.Content) > 0 {
		l.walk(file, "", doc.Content[0])
	}
}

func (l lineIndex) walk(file, key string, n *yaml.Node) {
	l[file+" "+key] = n.Line
	join := func(part string) string { return strings.TrimPrefix(key+"."+part, ".") }
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			l.walk(file, join(n.Content[i].Value), n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			l.walk(file, join(strconv.Itoa(i)), item)
		}
	}
}

// of finds the line of a key, or of the nearest thing around it that is in the file.
func (l lineIndex) of(file, key string) int {
	for {
		if line, ok := l[file+" "+key]; ok {
			return line
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return 1
		}
		key = key[:dot]
	}
}

// Encode is the inverse of Decode: the texts of the three files, always the same for the same record.
func (r Record) Encode() (map[string][]byte, error) {
	texts := map[string][]byte{}
	for name, value := range map[string]any{
		ServerListFile:     serverList{r.Cluster, r.Generation, r.Servers},
		FileServerFile:     fileSharingServer{r.Cluster, r.Generation, r.FS},
		DataRedundancyFile: dataRedundancyServer{r.Cluster, r.Generation, r.DataDirectory, r.ClientMount, r.Pairs},
	} {
		var b bytes.Buffer
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := e.Encode(value); err != nil {
			return nil, err
		}
		texts[name] = b.Bytes()
	}
	return texts, nil
}
