package record_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"hafs/lib/cluster/record"
	"hafs/lib/host/system"
	"hafs/lib/testkit/recordtest"
)

// The digest is how members of two releases find out that they have the same record. It changes only with what the record says: a new key must leave it as
// it is in records that do not use the key.
func TestDigestStaysTheSame(t *testing.T) {
	const want = "9b1ab4b53fbe2e85b50342319820a28315addd3569ca876d0fee189a5b721967"
	if got := recordtest.Parse(t, "fs=L1 pairs=W3/M2,M1/trouble spares=M3 failed=X1").Digest(); got != want {
		t.Errorf("digest %s: members of the release before have %s, and would take it for another record", got, want)
	}
}

// What a peer of a newer release sends is either known whole or refused; nothing of it is dropped and the rest believed.
func TestARecordOfANewerRelease(t *testing.T) {
	r := recordtest.Parse(t, "fs=L1 pairs=W3/M2 spares=M3")
	r.Generation = 8
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	store := record.Store{Machine: system.Machine{}, Directory: t.TempDir()}
	if err := store.Install(recordtest.Parse(t, "fs=L1 pairs=W3/M2 spares=M3")); err != nil {
		t.Fatal(err)
	}
	for was, is := range map[string]string{
		`"Cluster":`:        `"Zone":"a","Cluster":`,
		`"DRS2":"M2"`:       `"DRS2":"M2","DRS3":"X"`,
		`"Status":"spare"`:  `"Status":"witness"`,
		`"VirtualAddress":`: `"SecondAddress":"","VirtualAddress":`,
	} {
		changed := strings.Replace(string(text), was, is, 1)
		if changed == string(text) {
			t.Fatalf("%s is not in %s", was, text)
		}
		message := struct{ Record *record.Record }{}
		if err := json.Unmarshal([]byte(`{"Record":`+changed+`}`), &message); err != nil {
			t.Fatalf("%s: the whole message is lost: %v", is, err)
		}
		var newer record.NewerRelease
		for what, err := range map[string]error{
			"valid": message.Record.Validate(), "installed": store.Install(*message.Record), "learnt": store.Learn(*message.Record), "copied": message.Record.Clone().Newer(),
		} {
			if !errors.As(err, &newer) || newer.Generation != 8 {
				t.Errorf("%s: %s: %v", is, what, err)
			}
		}
	}
	var same record.Record
	if err := json.Unmarshal(text, &same); err != nil || same.Newer() != nil || same.Digest() != r.Digest() {
		t.Errorf("%v, %v", err, same.Newer())
	}
	if have, err := store.Current(); err != nil || have.Generation != 7 {
		t.Errorf("%v, %v", have, err)
	}
}
