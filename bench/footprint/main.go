// Command footprint measures what a node of a cluster costs besides PostgreSQL:
// memory (proportional set size) and processor time of every process in its VM
// that is not the database's.
//
//	holdfast up --detach --consul-servers 3 … && holdfast create postgresql cluster-small c && go run ./bench/footprint -state /var/lib/holdfast -record bench/footprint.md
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/internal/stack"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

func main() {
	state := flag.String("state", string(stack.DefaultFolder()), "the stack's folder")
	seconds := flag.Int("seconds", 60, "length of the measurement")
	record := flag.String("record", "", "file to write the table to; empty: the output only")
	flag.Parse()
	if err := run(*state, time.Duration(*seconds)*time.Second, *record); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(state string, length time.Duration, record string) error {
	vms, err := nodes(stack.Folder(state).DirectorDir())
	if err != nil {
		return err
	}
	before, err := look(vms)
	if err != nil {
		return err
	}
	time.Sleep(length)
	after, err := look(vms)
	if err != nil {
		return err
	}
	out := io.Writer(os.Stdout)
	if record != "" {
		file, err := os.Create(record)
		if err != nil {
			return fmt.Errorf("open the record: %w", err)
		}
		defer file.Close()
		out = io.MultiWriter(out, file)
	}
	return table(out, before, after, length)
}

// nodes returns the VMs that run a keeper.
func nodes(directorDir string) ([]lab.VM, error) {
	records, err := filepath.Glob(filepath.Join(directorDir, "host", "vms", "*", "vm.json"))
	if err != nil {
		return nil, err
	}
	var found []lab.VM
	for _, path := range records {
		var vm struct {
			Networks map[string]struct{ Address netip.Prefix }
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a VM's record: %w", err)
		}
		if err := json.Unmarshal(content, &vm); err != nil {
			return nil, fmt.Errorf("understand %s: %w", path, err)
		}
		for _, network := range vm.Networks {
			one, err := lab.Find(directorDir, network.Address.Addr().String())
			if errors.Is(err, lab.ErrNoVM) {
				continue // it has died
			}
			if err != nil {
				return nil, err
			}
			processes, err := one.Processes()
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(processes, func(p lab.Process) bool { return part(p) == "keeper" }) {
				found = append(found, one)
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no VM below %s runs a keeper", directorDir)
	}
	slices.SortFunc(found, func(a, b lab.VM) int { return cmp.Compare(a.Address, b.Address) })
	return found, nil
}

// part names what a process belongs to; empty: the database.
func part(p lab.Process) string {
	line := strings.Join(p.Args, " ")
	switch {
	case p.Name == "postgres":
		return ""
	case p.Name == "pgkeeper" && len(p.Args) > 1:
		return p.Args[1] // guard or keeper
	case strings.Contains(line, "repmgr"):
		return "repmgrd and its watch"
	}
	return p.Name
}

// usage is what a part of a node uses.
type usage struct {
	memory int64         // bytes
	spent  time.Duration // of a processor, since the process began
}

type key struct{ address, part string }

func look(vms []lab.VM) (map[key]usage, error) {
	all := map[key]usage{}
	for _, vm := range vms {
		processes, err := vm.Processes()
		if err != nil {
			return nil, err
		}
		for _, p := range processes {
			name := part(p)
			if name == "" {
				continue
			}
			memory, spent, err := read(p.PID)
			if err != nil {
				continue // it has ended meanwhile
			}
			k := key{vm.Address, name}
			all[k] = usage{all[k].memory + memory, all[k].spent + spent}
		}
	}
	return all, nil
}

// tick is the unit of /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

func read(pid int) (memory int64, spent time.Duration, err error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "Pss:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, 0, err
			}
			memory = kib << 10
		}
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	text := string(content)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	// utime, stime, and those of children that have ended: a script's cost is theirs.
	for _, i := range []int{11, 12, 13, 14} {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		spent += time.Duration(ticks) * tick
	}
	return memory, spent, nil
}

// own are the parts that make a server a member of a cluster and of BOSH; the
// others see to it that processes and their logs are kept.
var own = []string{"keeper", "guard", "repmgrd and its watch", "bosh-agent"}

func table(w io.Writer, before, after map[key]usage, length time.Duration) error {
	keys := make([]key, 0, len(after))
	for k := range after {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.part, b.part))
	})
	var text strings.Builder
	fmt.Fprintf(&text, "# What a node costs besides PostgreSQL\n\n`go run ./bench/footprint` wrote this: proportional set size at the end, processor time over %s.\nThe cluster's own are %s.\n\n", length, strings.Join(own, ", "))
	text.WriteString("| node | part | memory MB | % of one core |\n| --- | --- | --- | --- |\n")
	for i, k := range keys {
		text.WriteString(row(k.address, k.part, after[k], before[k], length))
		if i+1 == len(keys) || keys[i+1].address != k.address {
			for _, sum := range []struct {
				name string
				of   func(part string) bool
			}{
				{"**cluster's own**", func(part string) bool { return slices.Contains(own, part) }},
				{"**all**", func(string) bool { return true }},
			} {
				var sumAfter, sumBefore usage
				for other, u := range after {
					if other.address == k.address && sum.of(other.part) {
						sumAfter = usage{sumAfter.memory + u.memory, sumAfter.spent + u.spent}
						sumBefore.spent += before[other].spent
					}
				}
				text.WriteString(row(k.address, sum.name, sumAfter, sumBefore, length))
			}
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func row(address, part string, after, before usage, length time.Duration) string {
	share := 100 * (after.spent - before.spent).Seconds() / length.Seconds()
	return fmt.Sprintf("| %s | %s | %.1f | %.2f |\n", address, part, float64(after.memory)/1e6, share)
}
