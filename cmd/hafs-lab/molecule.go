package main

import (
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// molecule is what is used here of molecule.yml.
type molecule struct {
	Provisioner struct {
		Playbooks map[string]string `yaml:"playbooks"`
		Inventory struct {
			GroupVars map[string]map[string]any `yaml:"group_vars"`
		} `yaml:"inventory"`
	} `yaml:"provisioner"`
	Scenario struct {
		TestSequence []string `yaml:"test_sequence"`
	} `yaml:"scenario"`
}

// readMolecule reads files of which a later one goes before an earlier one, as molecule does: maps are merged, and lists are replaced.
func readMolecule(files ...string) (molecule, error) {
	merged := map[string]any{}
	for _, file := range files {
		var next map[string]any
		text, err := os.ReadFile(file)
		if err == nil {
			err = yaml.Unmarshal(text, &next)
		}
		if err != nil {
			return molecule{}, fmt.Errorf("%s: %w", file, err)
		}
		merge(merged, next)
	}
	var m molecule
	text, err := yaml.Marshal(merged)
	if err == nil {
		err = yaml.Unmarshal(text, &m)
	}
	return m, err
}

func merge(into, from map[string]any) {
	for key, value := range from {
		inner, isMap := value.(map[string]any)
		if old, wasMap := into[key].(map[string]any); isMap && wasMap {
			merge(old, inner)
			continue
		}
		into[key] = value
	}
}
