// Command monitbridge makes the bosh-agent and Debian's monit agree inside a VM.
// The agent knows monit 5.2.5, which real stemcells carry; Debian has 5.33.
//
// "monitbridge proxy" stands between the two: 5.33 refuses POSTs without a
// security token, sent twice, as a cookie and as a form field. The proxy adds
// both. It also spares the agent seconds of waiting when it restarts monit:
// requests wait until the new one listens, and a status tells the new one from
// the old (its incarnation) also within the same second.
//
// "monitbridge stop" is "monit stop -g vcap" as 5.2.5 means it: services are
// stopped also when they are not monitored, as they are not after a drain, and
// a group without members is nothing wrong.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "monitbridge:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "proxy":
		return serveProxy()
	case len(args) == 1 && args[0] == "stop":
		return stopAll()
	default:
		return fmt.Errorf("usage: monitbridge proxy|stop")
	}
}
