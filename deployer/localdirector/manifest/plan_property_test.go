package manifest_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// A deployment that is deployed again and again, with groups that come, go,
// grow, shrink and change zones and networks, beside others that take and
// release addresses: whatever the order, these hold after every deploy.
func TestPlansStayConsistent(t *testing.T) {
	cloud, err := manifest.ParseCloudConfig(mustConfig(cloudText))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		id := 0
		var rows []manifest.Existing
		for range rapid.IntRange(1, 5).Draw(t, "deploys") {
			m := drawManifest(t, cloud)
			taken := drawTaken(t, rows)
			in := manifest.PlanInput{Manifest: m, Cloud: cloud, Existing: rows, Taken: taken, NewID: func() string { id++; return fmt.Sprint("i", id) }}
			plan, err := manifest.Plan(in)
			if err != nil {
				if !strings.Contains(err.Error(), "no more available") {
					t.Fatalf("plan: %v", err)
				}
				return
			}
			checkPlan(t, in, plan)
			rows = applied(plan)
			again, err := manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, Existing: rows, Taken: taken, NewID: func() string { t.Fatal("an id too many"); return "" }})
			if err != nil {
				t.Fatalf("the same again: %v", err)
			}
			first, _ := summary(plan)
			second, obsolete := summary(again)
			if !slices.Equal(first, second) || len(obsolete) > 0 {
				t.Fatalf("the same again is not the same:\n%q\n%q\nobsolete %q", first, second, obsolete)
			}
		}
	})
}

func mustConfig(text string) *manifest.Document {
	d, err := manifest.ReadConfig([]byte(text))
	if err != nil {
		panic(err)
	}
	return d
}

func drawManifest(t *rapid.T, cloud *manifest.CloudConfig) *manifest.Manifest {
	m := &manifest.Manifest{Name: "demo"}
	for _, name := range []string{"a", "b", "c"} {
		if !rapid.Bool().Draw(t, name+" exists") {
			continue
		}
		g := manifest.InstanceGroup{Name: name, VMType: "default", Instances: rapid.IntRange(0, 6).Draw(t, name+" instances")}
		switch rapid.IntRange(0, 3).Draw(t, name+" networks") {
		case 0:
			g.Networks = []manifest.GroupNetwork{{Name: "nozone", Default: []string{"dns", "gateway"}}}
		case 1:
			g.AZs = drawAZs(t, name)
			g.Networks = []manifest.GroupNetwork{{Name: "default", Default: []string{"dns", "gateway"}}}
		default:
			g.AZs = drawAZs(t, name)
			g.Networks = []manifest.GroupNetwork{{Name: "second", Default: []string{"dns"}}, {Name: "default", Default: []string{"gateway"}}}
		}
		if rapid.Bool().Draw(t, name+" disk") {
			g.PersistentDisk = &manifest.PersistentDisk{SizeMiB: 10}
		}
		m.InstanceGroups = append(m.InstanceGroups, g)
	}
	return m
}

func drawAZs(t *rapid.T, name string) []string {
	return rapid.SampledFrom([][]string{{"z1"}, {"z2"}, {"z1", "z2"}, {"z2", "z1"}}).Draw(t, name+" azs")
}

// drawTaken takes some addresses that no instance of ours has.
func drawTaken(t *rapid.T, rows []manifest.Existing) []manifest.Reservation {
	ours := map[netip.Addr]bool{}
	for _, e := range rows {
		for _, a := range e.Addresses {
			ours[a.IP] = true
		}
	}
	var out []manifest.Reservation
	for _, last := range rapid.SliceOfN(rapid.IntRange(2, 13), 0, 6).Draw(t, "taken") {
		for _, net := range []string{"10.246.0.%d", "10.245.1.%d", "10.245.2.%d"} {
			if a := ip(fmt.Sprintf(net, last)); !ours[a] {
				out = append(out, manifest.Reservation{IP: a, Deployment: "other", Instance: "x/y"})
			}
		}
	}
	return out
}

func applied(plan *manifest.DeploymentPlan) []manifest.Existing {
	var out []manifest.Existing
	for _, g := range plan.Groups {
		for _, i := range g.Instances {
			e := manifest.Existing{Group: i.Group, ID: i.ID, Index: i.Index, AZ: i.AZ, Bootstrap: i.Bootstrap, HasDisk: i.Index%2 == 0}
			for _, n := range i.Networks {
				e.Addresses = append(e.Addresses, manifest.Address{Network: n.Network, IP: n.IP})
			}
			out = append(out, e)
		}
	}
	return out
}

func checkPlan(t *rapid.T, in manifest.PlanInput, plan *manifest.DeploymentPlan) {
	holder := map[netip.Addr]string{}
	for _, r := range in.Taken {
		holder[r.IP] = r.Instance
	}
	before := map[string]manifest.Existing{}
	for _, e := range in.Existing {
		before[e.ID] = e
		for _, a := range e.Addresses {
			holder[a.IP] = e.ID
		}
	}
	left := map[string]bool{}
	for _, e := range plan.Obsolete {
		left[e.ID] = true
	}
	for _, gp := range plan.Groups {
		g, _ := in.Manifest.Group(gp.Group)
		if len(gp.Instances) != g.Instances {
			t.Fatalf("%s: got %d instances, want %d", g.Name, len(gp.Instances), g.Instances)
		}
		indexes, bootstraps := map[int]bool{}, 0
		for _, i := range gp.Instances {
			if indexes[i.Index] || left[i.ID] {
				t.Fatalf("%s/%s: index %d twice, or obsolete as well", g.Name, i.ID, i.Index)
			}
			indexes[i.Index], left[i.ID] = true, true
			if i.Bootstrap {
				bootstraps++
			}
			if e, old := before[i.ID]; old == i.New || old && (e.Index != i.Index || e.AZ != i.AZ) {
				t.Fatalf("%s/%s: was %+v, is %+v", g.Name, i.ID, e, i)
			}
			if len(g.AZs) == 0 && i.AZ != "" || len(g.AZs) > 0 && !slices.Contains(g.AZs, i.AZ) {
				t.Fatalf("%s/%s is in zone %q of %q", g.Name, i.ID, i.AZ, g.AZs)
			}
			checkAddresses(t, in.Cloud, &i, before[i.ID], holder)
		}
		if len(gp.Instances) > 0 && bootstraps != 1 {
			t.Fatalf("%s has %d bootstrap instances", g.Name, bootstraps)
		}
	}
	for id := range before {
		if !left[id] {
			t.Fatalf("%s is neither planned nor obsolete", id)
		}
	}
}

func checkAddresses(t *rapid.T, cloud *manifest.CloudConfig, i *manifest.Instance, was manifest.Existing, holder map[netip.Addr]string) {
	for _, n := range i.Networks {
		if owner, taken := holder[n.IP]; taken && owner != i.ID {
			t.Fatalf("%s got %s of %s", i.ID, n.IP, owner)
		}
		holder[n.IP] = i.ID
		network, _ := cloud.Network(n.Network)
		var subnet *manifest.Subnet
		for s := range network.Subnets {
			if network.Subnets[s].Range.Contains(n.IP) {
				subnet = &network.Subnets[s]
			}
		}
		if subnet == nil || n.IP == subnet.Gateway || len(subnet.AZs) > 0 && !slices.Contains(subnet.AZs, i.AZ) {
			t.Fatalf("%s got %s on %s in zone %q", i.ID, n.IP, n.Network, i.AZ)
		}
		for _, barred := range slices.Concat(subnet.Reserved, subnet.Static) {
			if barred.Contains(n.IP) {
				t.Fatalf("%s got reserved or static %s", i.ID, n.IP)
			}
		}
		for _, a := range was.Addresses {
			if a.Network == n.Network && a.IP != n.IP && was.AZ == i.AZ && !i.New {
				t.Fatalf("%s had %s on %s and got %s", i.ID, a.IP, n.Network, n.IP)
			}
		}
	}
}
