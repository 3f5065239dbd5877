package main

import (
	"testing"

	"hafs/lib/commandtest"
)

func TestMain(m *testing.M) { commandtest.Main(m, "hafs-probe", main) }

func TestScripts(t *testing.T) { commandtest.Run(t) }
