package postgres

import "testing"

// TestHasWork knows the titles of processes that a server which shuts down waits for.
func TestHasWork(t *testing.T) {
	for title, want := range map[string]bool{
		"walsender repmgr 10.0.0.2(41210) streaming 0/5374DA0": true,
		"checkpointer ":                                    true,
		"archiver last was 00000001":                       true,
		"startup recovering 00000001":                      true,
		"logger ":                                          false,
		"b_1 app 10.0.0.9(51422) startup":                  false, // is being told that the server shuts down
		"[unknown] [unknown] 10.0.0.9(51422) initializing": false,
	} {
		if got := hasWork(title); got != want {
			t.Errorf("%q: got %v, want %v", title, got, want)
		}
	}
}
