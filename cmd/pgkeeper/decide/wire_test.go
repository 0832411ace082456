package decide_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

func TestPositionsOfTheLog(t *testing.T) {
	for text, want := range map[string]decide.LSN{"0/0": 0, "0/16B3748": 0x16B3748, "1/0": 1 << 32, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := decide.ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %s (%d), %v, want %d", text, got, got, err, want)
		}
	}
	for _, text := range []string{"", "16B3748", "/", "x/0", "0/x", "100000000/0"} {
		if got, err := decide.ParseLSN(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

// TestKeys: what is written to Consul is what is read of it.
func TestKeys(t *testing.T) {
	lease := decide.Leader{Holder: "a", Node: "node-1", Address: "10.0.0.2", Epoch: 7, Beat: 9, Released: true, Primary: "b", Previous: copyOn("node-0"),
		Position: at(3, 0x16B3748), Fork: at(2, 1000), Reserved: 4, Final: true, Heir: "node-2"}
	members := decide.Members{{Node: "node-0", ID: "a", Address: "x"}, {Node: "node-1", ID: "b", Address: "y"}}
	for name, tc := range map[string]struct {
		value, into any
		text        string
	}{
		"leader": {&lease, &decide.Leader{}, `{"holder":"a","node":"node-1","address":"10.0.0.2","epoch":7,"beat":9,"released":true,"primary":"b",` +
			`"previous":{"node":"node-0","id":"id-node-0"},"position":{"timeline":3,"lsn":"0/16B3748"},"fork":{"timeline":2,"lsn":"0/3E8"},"reserved":4,"final":true,"heir":"node-2"}`},
		"members": {&members, &decide.Members{}, `{"nodes":{"node-0":{"id":"a","address":"x"},"node-1":{"id":"b","address":"y"}}}`},
		"sync": {&decide.Sync{Mode: decide.Quorum, Copies: []decide.Copy{copyOn("node-1")}}, &decide.Sync{},
			`{"mode":"quorum","nodes":[{"node":"node-1","id":"id-node-1"}]}`},
		"initialized": {&decide.Initialized{System: "7"}, &decide.Initialized{}, `{"system_identifier":"7"}`},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(tc.value)
			if err != nil || string(text) != tc.text {
				t.Fatalf("written: got %s, %v\nwant %s", text, err, tc.text)
			}
			if err := json.Unmarshal(text, tc.into); err != nil || !reflect.DeepEqual(tc.into, tc.value) {
				t.Errorf("read again: got %+v, %v, want %+v", tc.into, err, tc.value)
			}
		})
	}
}
