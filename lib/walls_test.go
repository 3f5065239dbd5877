package lib_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// districts are the folders of lib, and what each may import of the others. Nothing that is installed imports the laboratory or the test support.
var districts = map[string][]string{
	"host":        {},
	"cluster":     {"host"},
	"replication": {"host"},
	"client":      {"host", "cluster"},
	"node":        {"host", "cluster", "replication", "client"},
	"testkit":     {"host", "cluster"},
	"lab":         {"host", "cluster", "replication", "client", "node"},
}

// besides are single packages that a package may import besides what its district may.
var besides = map[string][]string{
	"lib/cluster/sim": {"hafs/lib/replication/change"}, // a cluster is whole only with its copies: change.History decides what of them is compared
}

// laboratory are the commands that are not installed.
var laboratory = []string{"hafs-lab"}

// decisions are the files that decide and do nothing: whole packages, and files by name wherever they are.
var decisions = []string{
	"*/*/decide.go", "*/*/plan.go", "*/*/verdict.go",
	"cluster/repair/*.go", "cluster/agree/ballot.go", "cluster/agree/propos*.go", "cluster/lease/lease.go", "cluster/record/record.go", "cluster/record/validate.go",
	"cluster/promote/fit.go", "cluster/promote/reasons.go", "cluster/promote/words.go",
	"replication/change/*.go", "replication/mirror/pairup.go", "node/feeding/*.go",
}

// doing are the packages that reach files, other machines, the kernel or the log.
var doing = []string{"os", "os/exec", "net", "context", "syscall", "io/ioutil", "log", "github.com/rs/zerolog", "golang.org/x/sys/unix", "hafs/lib/host/system"}

// clock are the functions of package time that look at it or wait.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func TestWhoMayImportWhom(t *testing.T) {
	sources(t, "..", func(file string, source *ast.File) {
		from := district(file)
		for _, imported := range imports(t, source) {
			to, inLib := strings.CutPrefix(imported, "hafs/lib/")
			if !inLib {
				continue
			}
			to, _, _ = strings.Cut(to, "/")
			allowed, known := districts[from]
			switch {
			case strings.HasPrefix(file, "lib/") && !known:
				t.Errorf("%s is in none of the districts", file)
			case slices.Contains(besides[path.Dir(file)], imported):
			case to == from, strings.HasSuffix(file, "_test.go") && to != "lab": // a test may play the other side
			case known && !slices.Contains(allowed, to):
				t.Errorf("%s: %s must not know %s", file, from, imported)
			case strings.HasPrefix(file, "cmd/") && (to == "lab" || to == "testkit") && !slices.Contains(laboratory, strings.Split(file, "/")[1]):
				t.Errorf("%s is installed and must not know %s", file, imported)
			}
		}
	})
}

func TestDecisionsDoNothing(t *testing.T) {
	found := map[string]bool{}
	sources(t, ".", func(file string, source *ast.File) {
		pattern := slices.IndexFunc(decisions, func(p string) bool { ok, _ := path.Match(p, file); return ok })
		if pattern < 0 || strings.HasSuffix(file, "_test.go") {
			return
		}
		found[decisions[pattern]] = true
		for _, path := range imports(t, source) {
			if slices.Contains(doing, path) {
				t.Errorf("%s decides, and imports %s", file, path)
			}
		}
		ast.Inspect(source, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%s decides, and asks the clock: time.%s", file, s.Sel.Name)
				}
			}
			return true
		})
	})
	for _, p := range decisions {
		if !found[p] {
			t.Errorf("there is no file %s", p)
		}
	}
}

// sources parses every Go file below a directory but those that builds and the lab leave there.
func sources(t *testing.T, top string, each func(file string, source *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(top, name)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "build" || e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && file != "."):
			return filepath.SkipDir
		case e.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		source, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err == nil {
			each(filepath.ToSlash(file), source)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func imports(t *testing.T, source *ast.File) []string {
	t.Helper()
	var paths []string
	for _, spec := range source.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// district is the folder of lib that a file is in.
func district(file string) string {
	parts := strings.Split(file, "/")
	if parts[0] != "lib" || len(parts) < 3 {
		return ""
	}
	return parts[1]
}
