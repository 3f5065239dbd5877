package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestMoleculeFilesAreMerged(t *testing.T) {
	base, own := filepath.Join(t.TempDir(), "config.yml"), filepath.Join(t.TempDir(), "molecule.yml")
	for file, text := range map[string]string{
		base: `
provisioner:
  playbooks: {converge: ../shared/converge.yml, verify: ../shared/verify.yml}
  inventory: {group_vars: {all: {kept: 1, replaced: [a, b], deep: {kept: 2, replaced: 3}}}}
scenario: {test_sequence: [create, verify]}
`,
		own: `
provisioner:
  playbooks: {verify: verify.yml}
  inventory: {group_vars: {all: {replaced: [c], deep: {replaced: 4}}}}
`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readMolecule(base, own)
	if err != nil {
		t.Fatal(err)
	}
	var want molecule
	want.Provisioner.Playbooks = map[string]string{"converge": "../shared/converge.yml", "verify": "verify.yml"}
	want.Provisioner.Inventory.GroupVars = map[string]map[string]any{
		"all": {"kept": 1, "replaced": []any{"c"}, "deep": map[string]any{"kept": 2, "replaced": 4}},
	}
	want.Scenario.TestSequence = []string{"create", "verify"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// A name that is written wrongly would be found only after all the scenarios before it.
func TestScenariosHaveTheirPlaybooks(t *testing.T) {
	c := scenarioCommand{Directory: filepath.Join("..", "..", "molecule")}
	all, err := c.scenarios()
	if err != nil {
		t.Fatal(err)
	}
	if all[0].name != "default" {
		t.Errorf("the first is %s", all[0].name)
	}
	for _, s := range all {
		if len(s.stages) == 0 {
			t.Errorf("%s does nothing", s.name)
		}
		for _, stage := range s.stages {
			if _, err := os.Stat(s.playbook(stage)); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}
}
