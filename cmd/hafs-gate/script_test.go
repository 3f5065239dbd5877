package main

import (
	"testing"

	"hafs/lib/testkit/commandtest"
)

func TestMain(m *testing.M) { commandtest.Main(m, "hafs-gate", main) }

func TestScripts(t *testing.T) { commandtest.Run(t) }
