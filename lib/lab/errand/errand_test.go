package errand

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPagesOfALargeFileDiffer(t *testing.T) {
	seen := map[string]bool{}
	pattern := largePattern()
	for n := range int64(3) {
		b := block(pattern, n)
		for at := 0; at < len(b); at += pageSize {
			page := string(b[at : at+pageSize])
			if seen[page] {
				t.Fatalf("page at %d of part %d is there twice", at, n)
			}
			seen[page] = true
		}
	}
}

func TestBurstIsFilledOnlyWhenWhole(t *testing.T) {
	dir := t.TempDir()
	named, whole := Filled(dir, 250, 100)
	if named() == nil {
		t.Fatal("an empty folder is filled")
	}
	if err := Burst(context.Background(), dir, 250, PerFolder, 100); err != nil {
		t.Fatal(err)
	}
	if err := named(); err != nil {
		t.Fatal(err)
	}
	if err := whole(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "0002", "000249")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if named() != nil || whole() == nil {
		t.Fatal("other bytes are not seen")
	}
	if err := os.WriteFile(path+".tmp", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if named() == nil {
		t.Fatal("a name too many is not seen")
	}
}

func TestBurstFillsFoldersInTurn(t *testing.T) {
	dir := t.TempDir()
	if Burst(context.Background(), dir, 5, 0, 100) == nil {
		t.Error("folders that hold nothing are filled")
	}
	if err := Burst(context.Background(), dir, 5, 2, 100); err != nil {
		t.Fatal(err)
	}
	var have []string
	for n, folder := range []string{"0000", "0001", "0002"} {
		names, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil || len(names) != min(2, 5-2*n) {
			t.Errorf("%s holds %v, %v", folder, names, err)
		}
		for _, f := range names {
			have = append(have, f.Name())
		}
	}
	if got := strings.Join(have, " "); got != "000000 000001 000002 000003 000004" {
		t.Error(got)
	}
}

func TestLargeFileWithAChangedByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	const size, at = 2*blockSize + 5000, blockSize + 17
	before, beforeWhole := WholeLarge(path, size, -1)
	after, afterWhole := WholeLarge(path, size, at)
	if before() == nil {
		t.Fatal("no file is whole")
	}
	if err := Large(context.Background(), path, 3*blockSize); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	if before() != nil || beforeWhole() != nil || after() == nil {
		t.Fatal("the file as written is not recognized")
	}
	if err := Flip(path, at); err != nil {
		t.Fatal(err)
	}
	if beforeWhole() == nil || after() != nil || afterWhole() != nil {
		t.Fatal("the changed byte is not recognized")
	}
}

func TestArrivals(t *testing.T) {
	dir := t.TempDir()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- Arrivals{Directory: dir, Files: 3, Bytes: 100, Within: time.Minute}.Run(context.Background(), out)
	}()
	ready := make([]byte, len(Ready)+1)
	if _, err := in.Read(ready); err != nil || string(ready) != Ready+"\n" {
		t.Fatalf("%q, %v", ready, err)
	}
	var said bytes.Buffer
	if err := (Series{Directory: dir, Files: 3, Bytes: 100}).Run(context.Background(), &said); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for dones, seens := json.NewDecoder(strings.NewReader(said.String())), json.NewDecoder(in); dones.More(); {
		var d Done
		var s Seen
		if dones.Decode(&d) != nil || seens.Decode(&s) != nil || s.File != d.File || s.At < d.Begun {
			t.Errorf("%+v was seen as %+v", d, s)
		}
	}
}
