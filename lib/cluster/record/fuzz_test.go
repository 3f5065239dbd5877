package record

import (
	"reflect"
	"testing"
)

// FuzzDecode reads three files of whatever there is. A record that is believed is valid, and is the same when it is written and read again.
func FuzzDecode(f *testing.F) {
	f.Add(
		[]byte("cluster: lab\ngeneration: 1\nservers:\n  - name: L1\n    address: 10.77.0.11\n    status: active\n  - name: W3\n    address: 10.77.0.33\n    status: active\n"),
		[]byte("cluster: lab\ngeneration: 1\nname: L1\nshared_area: /nfs\nlink: /system\nmount_points: [/mp/S1]\nvirtual_address: 10.77.0.100/24\n"),
		[]byte("cluster: lab\ngeneration: 1\ndata_directory: /nfs\nclient_mount: /run/hafs/client\npairs:\n  - drs1: W3\n    drs2: trouble\n"),
	)
	f.Add([]byte("cluster: &a [*a]\n"), []byte("{}"), []byte("- - -"))
	f.Add([]byte(""), []byte("name: ../../etc"), []byte("data_directory: /"))
	f.Fuzz(func(t *testing.T, servers, fileServer, redundancy []byte) {
		r, err := Decode(map[string][]byte{ServerListFile: servers, FileServerFile: fileServer, DataRedundancyFile: redundancy})
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		texts, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(texts)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
