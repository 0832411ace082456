package postgres

import (
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

func TestParseHistory(t *testing.T) {
	for _, c := range []struct {
		name, text string
		timeline   uint32
		want       []decide.Fork
	}{
		{"second", "1\t0/4022670\tno recovery target specified\n", 2, []decide.Fork{{Timeline: 2, LSN: 0x4022670}}},
		{
			"with a number that was skipped", "1\t0/4022670\tno recovery target specified\n\n2\t1/28\tx\n", 4,
			[]decide.Fork{{Timeline: 2, LSN: 0x4022670}, {Timeline: 4, LSN: 0x100000028}},
		},
		{"without ancestors", "# skipped by pgkeeper\n", 3, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseHistory(c.text, c.timeline)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
	if _, err := parseHistory("x\t0/1\n", 2); err == nil {
		t.Error("nonsense is read as a history")
	}
}

func TestParseLogEnd(t *testing.T) {
	const said = "WAL statistics between 0/20001C0 and 0/4022670:\nType   N\n----   -\nXLOG   1\n"
	for _, c := range []struct {
		name, said, fault string
		want              decide.LSN
	}{
		{"zeros follow", said, "pg_waldump: error: error in WAL record at 0/4022648: invalid record length at 0/4022670: wanted 24, got 0", 0x4022670},
		{"older log follows", said, "pg_waldump: error: error in WAL record at 0/4022648: record with incorrect prev-link 0/1 at 0/4022670", 0x4022670},
		{"an older page follows", said, "pg_waldump: error: error in WAL record at 0/4022648: unexpected pageaddr 0/1024000 in log segment 000000070000000000000004, offset 147456", 0x4022670},
		{"its segments are full", said, "", 0x4022670},
		{"a segment cannot be read", said, "pg_waldump: error: could not read from file 000000070000000000000004, offset 147456: Input/output error", 0},
		{"a segment is missing", "", "pg_waldump: error: could not find file \"000000070000000000000004\": No such file or directory", 0},
		{"there is no record at all", "", "pg_waldump: error: could not find a valid record after 0/4000000", 0},
		{"it says nothing", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fault error
			if c.fault != "" {
				fault = errors.New(c.fault)
			}
			got, found := parseLogEnd(c.said, fault)
			if found != (c.want != 0) || got != c.want {
				t.Errorf("got %v, %v, want %v", got, found, c.want)
			}
		})
	}
}

func TestEndOfSegments(t *testing.T) {
	data := t.TempDir()
	c := &Cluster{settings: &settings.Settings{}}
	c.settings.PostgreSQL.Data = data
	if err := os.Mkdir(c.in("pg_wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0000000200000001000000FE", "0000000200000001000000FF", "000000020000000200000000", "000000020000000200000002", "000000010000000200000001"} {
		if err := os.WriteFile(c.in("pg_wal/"+name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const size = 16 << 20
	for _, test := range []struct {
		name       string
		from, want decide.LSN
		timeline   uint32
	}{
		{"over the end of a log file, up to a gap", 1<<32 + 0xFE*size + 40, 2<<32 + size, 2},
		{"from the segment's beginning", 2<<32 + 2*size, 2<<32 + 3*size, 2},
		{"another timeline's segment is none", 2<<32 + size + 40, 2<<32 + size + 40, 2},
		{"on the other timeline", 2<<32 + size + 40, 2<<32 + 2*size, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := c.endOfSegments(test.from, size, test.timeline); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseControl(t *testing.T) {
	text := `Database system identifier:           7575
Database cluster state:               shut down in recovery
Latest checkpoint location:           0/4000028
Latest checkpoint's REDO location:    0/4000000
Latest checkpoint's TimeLineID:       2
Minimum recovery ending location:     1/0
Min recovery ending loc's timeline:   3
Bytes per WAL segment:                16777216
`
	got, err := parseControl(text)
	want := control{system: "7575", state: "shut down in recovery", timeline: 2, checkpoint: 0x4000028, redo: 0x4000000, minRecovery: 1 << 32, minTimeline: 3, segment: 16 << 20}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseControl("Database system identifier: 1\n"); err == nil {
		t.Error("half a control file is taken for a whole one")
	}
}

func TestSyncNamesAreReadBack(t *testing.T) {
	for _, names := range [][]decide.Node{nil, {"node-1"}, {"node-0", "node-2"}} {
		if got := parseSyncNames(syncNames(names)); !reflect.DeepEqual(got, names) {
			t.Errorf("%q: got %v, want %v", syncNames(names), got, names)
		}
	}
}

func TestSlotsAreNamedByNode(t *testing.T) {
	if name := slotName("node-1"); name != "holdfast_node_1" || slotNode(name) != "node-1" {
		t.Errorf("got %s, %s", name, slotNode(name))
	}
}

func TestNeedsRecovery(t *testing.T) {
	for _, c := range []struct {
		state string
		reach uint32
		want  bool
	}{
		{"shut down", 3, false},
		{"shut down in recovery", 3, false},
		{"shut down in recovery", 4, true}, // was fenced before its first checkpoint on timeline 4
		{"in production", 3, true},
		{"in archive recovery", 3, true},
	} {
		if got := needsRecovery(control{state: c.state, timeline: 3}, decide.Position{Timeline: c.reach}); got != c.want {
			t.Errorf("%s, log of timeline %d: got %v, want %v", c.state, c.reach, got, c.want)
		}
	}
}
