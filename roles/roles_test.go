// Package roles holds the Ansible roles. Its tests hold them to one shape: what a role takes is declared, has a default, and is explained.
package roles

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

type option struct {
	Description string
	Type        string
	Required    bool
	Default     any
}

type specs struct {
	ArgumentSpecs map[string]struct {
		ShortDescription string `yaml:"short_description"`
		Options          map[string]option
	} `yaml:"argument_specs"`
}

func roles(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/tasks/main.yml")
	if err != nil || len(found) == 0 {
		t.Fatalf("no roles here: %v", err)
	}
	for i, path := range found {
		found[i] = filepath.Dir(filepath.Dir(path))
	}
	return found
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func options(t *testing.T, role string) map[string]option {
	t.Helper()
	var s specs
	read(t, filepath.Join(role, "meta/argument_specs.yml"), &s)
	return s.ArgumentSpecs["main"].Options
}

func defaults(t *testing.T, role string) map[string]any {
	t.Helper()
	values := map[string]any{}
	read(t, filepath.Join(role, "defaults/main.yml"), &values)
	return values
}

// TestDefaults: every variable is declared, and declared with the default it has.
func TestDefaults(t *testing.T) {
	for _, role := range roles(t) {
		values := defaults(t, role)
		for name, o := range options(t, role) {
			value, has := values[name]
			switch {
			case o.Type == "" || o.Description == "":
				t.Errorf("%s: %s is declared without type or description", role, name)
			case o.Required && has:
				t.Errorf("%s: %s is required and has a default", role, name)
			case o.Required:
			case !has:
				t.Errorf("%s: %s is declared and has no default", role, name)
			case !reflect.DeepEqual(value, o.Default):
				t.Errorf("%s: %s has the default %v and is declared with %v", role, name, value, o.Default)
			}
		}
		for name := range values {
			if _, declared := options(t, role)[name]; !declared {
				t.Errorf("%s: %s has a default and is not declared", role, name)
			}
		}
	}
}

// TestSharedVariables: a variable that several roles take is the same for all of them.
func TestSharedVariables(t *testing.T) {
	type declared struct {
		role   string
		option option
	}
	first := map[string]declared{}
	for _, role := range roles(t) {
		for name, o := range options(t, role) {
			o.Description = ""
			if other, seen := first[name]; !seen {
				first[name] = declared{role, o}
			} else if !reflect.DeepEqual(other.option, o) {
				t.Errorf("%s is %+v in %s and %+v in %s", name, other.option, other.role, o, role)
			}
		}
	}
}

// TestReadme: every variable is explained where people look for it, and nothing else is.
func TestReadme(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `(hafs_[a-z_]+)` \\|")
	for _, role := range roles(t) {
		text, err := os.ReadFile(filepath.Join(role, "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		var explained []string
		for _, match := range row.FindAllStringSubmatch(string(text), -1) {
			explained = append(explained, match[1])
		}
		slices.Sort(explained)
		if names := slices.Sorted(maps.Keys(options(t, role))); !slices.Equal(names, explained) {
			t.Errorf("%s: README.md explains %v, declared are %v", role, explained, names)
		}
	}
}

// TestExampleInventory: the example explains every variable of the roles that site.yml uses.
func TestExampleInventory(t *testing.T) {
	text, err := os.ReadFile("../inventory/example/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles(t) {
		if role == "hafs_guests" {
			continue
		}
		for name := range options(t, role) {
			if !strings.Contains(string(text), "| `"+name+"` |") {
				t.Errorf("inventory/example/README.md does not explain %s", name)
			}
		}
	}
}

// TestNames: hafs_ is for operators, _hafs_ for a role's constants, __hafs_ for what it found out.
func TestNames(t *testing.T) {
	for _, role := range roles(t) {
		for name := range defaults(t, role) {
			if !strings.HasPrefix(name, "hafs_") {
				t.Errorf("%s: default %s", role, name)
			}
		}
		for _, path := range files(t, role, "vars") {
			values := map[string]any{}
			read(t, path, &values)
			for name := range values {
				if !strings.HasPrefix(name, "_"+role+"_") {
					t.Errorf("%s: %s", path, name)
				}
			}
		}
		for _, at := range tasks(t, role) {
			if name, registers := at.task["register"]; registers && !strings.HasPrefix(fmt.Sprint(name), "__"+role+"_") {
				t.Errorf("%s registers %v", at, name)
			}
		}
	}
}

// TestSkeleton: who knows one role knows them all.
func TestSkeleton(t *testing.T) {
	for _, role := range roles(t) {
		for _, path := range []string{"README.md", "defaults/main.yml", "meta/main.yml", "meta/argument_specs.yml", "tasks/main.yml", "tasks/preflight.yml"} {
			if _, err := os.Stat(filepath.Join(role, path)); err != nil {
				t.Error(err)
			}
		}
		if len(files(t, role, "vars")) == 0 {
			t.Errorf("%s has no vars", role)
		}
		contents := []string{}
		for _, at := range tasks(t, role) {
			for _, module := range []string{"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"} {
				if file, includes := at.task[module]; includes {
					contents = append(contents, fmt.Sprint(file))
					continue
				}
			}
			if strings.HasSuffix(at.path, "tasks/main.yml") && !isContents(at.task) {
				t.Errorf("%s: main.yml is a table of contents", at)
			}
		}
		if len(contents) == 0 || contents[0] != "preflight.yml" {
			t.Errorf("%s: the first thing is not preflight.yml: %v", role, contents)
		}
		for _, path := range files(t, role, "tasks") {
			if name := filepath.Base(path); name != "main.yml" && !slices.Contains(contents, name) {
				t.Errorf("%s is not used", path)
			}
		}
	}
}

func isContents(task map[string]any) bool {
	return task["ansible.builtin.import_tasks"] != nil || task["ansible.builtin.include_tasks"] != nil
}

// TestTasks: each task and handler says the state to be reached, names its module in full, and starts no shell.
func TestTasks(t *testing.T) {
	for _, role := range roles(t) {
		for _, at := range tasks(t, role) {
			if name, _ := at.task["name"].(string); name == "" {
				t.Errorf("%s has no name", at)
			}
			modules := 0
			for key := range at.task {
				if strings.Count(key, ".") == 2 {
					modules++
				}
				if last := key[strings.LastIndex(key, ".")+1:]; slices.Contains([]string{"shell", "raw", "script", "expect"}, last) {
					t.Errorf("%s starts a shell", at)
				}
			}
			if modules != 1 {
				t.Errorf("%s does not name one module in full", at)
			}
			if at.task["ansible.builtin.command"] != nil && at.task["changed_when"] == nil && !makesFile(at.task) {
				t.Errorf("%s does not say when it has changed something", at)
			}
		}
	}
}

func makesFile(task map[string]any) bool {
	arguments, _ := task["ansible.builtin.command"].(map[string]any)
	return arguments["creates"] != nil
}

// TestUnits: the release's units are those that docs/units.md knows, and each says what it is.
func TestUnits(t *testing.T) {
	design, err := os.ReadFile("../docs/units.md")
	if err != nil {
		t.Fatal(err)
	}
	units, err := filepath.Glob("hafs_services/files/units/*")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units: %v", err)
	}
	for _, path := range units {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nDescription=HAFS: ") {
			t.Errorf("%s has no description", path)
		}
		// hafs-mirror.socket stands as `hafs-mirror.socket`, `.service` there, hafs-promote@.service with NAME.
		stem, _, _ := strings.Cut(filepath.Base(path), ".")
		if !strings.Contains(string(design), "`"+stem) {
			t.Errorf("docs/units.md does not know %s", filepath.Base(path))
		}
	}
}

// place is a task and where it is.
type place struct {
	path string
	task map[string]any
}

func (p place) String() string { return fmt.Sprintf("%s: %v", p.path, p.task["name"]) }

// tasks lists all tasks and handlers of a role, those in blocks too; the ones of main.yml come first.
func tasks(t *testing.T, role string) []place {
	t.Helper()
	paths := append(files(t, role, "tasks"), files(t, role, "handlers")...)
	slices.SortStableFunc(paths, func(a, b string) int { return first(a) - first(b) })
	var all []place
	var collect func(path string, list []map[string]any)
	collect = func(path string, list []map[string]any) {
		for _, task := range list {
			inner := false
			for _, part := range []string{"block", "rescue", "always"} {
				var nested []map[string]any
				text, _ := yaml.Marshal(task[part])
				if task[part] != nil && yaml.Unmarshal(text, &nested) == nil {
					inner = true
					collect(path, nested)
				}
			}
			if !inner {
				all = append(all, place{path, task})
			}
		}
	}
	for _, path := range paths {
		var list []map[string]any
		read(t, path, &list)
		collect(path, list)
	}
	return all
}

func first(path string) int {
	if strings.HasSuffix(path, "tasks/main.yml") {
		return 0
	}
	return 1
}

func files(t *testing.T, role, folder string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.yml", "*/*.yml"} {
		matches, err := filepath.Glob(filepath.Join(role, folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, matches...)
	}
	return found
}
