package vm

import (
	"fmt"
	"maps"
	"net"
	"net/netip"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// agentPort is where the agent's message bus listens in every VM.
const agentPort = "6868"

// agentSettings are what a CPI hands to the agent: its identity, message bus,
// networks and disks.
func agentSettings(r *record) map[string]any {
	networks := map[string]any{}
	for name, n := range r.Networks {
		networks[name] = map[string]any{
			"type": "manual", "ip": n.Address.Addr().String(), "netmask": net.IP(net.CIDRMask(n.Address.Bits(), 32)).String(),
			"gateway": n.Gateway.String(), "dns": addrStrings(n.DNS), "default": nonNil(n.Default),
			// The VM's init has set it up.
			"preconfigured": true,
		}
	}
	persistent := map[string]any{}
	for cid, device := range r.Disks {
		persistent[cid] = DiskHint{Path: guestDevice(device)}
	}
	return map[string]any{
		"agent_id":  r.AgentID,
		"vm":        map[string]any{"name": r.CID},
		"ntp":       []string{},
		"mbus":      fmt.Sprintf("https://%s:%s@0.0.0.0:%s", r.Endpoint.User, r.Endpoint.Password, agentPort),
		"networks":  networks,
		"disks":     map[string]any{"system": "", "ephemeral": "", "persistent": persistent},
		"blobstore": map[string]any{"provider": "local", "options": map[string]any{"blobstore_path": "/var/vcap/micro_bosh/data/cache"}},
		"env":       agentEnv(r.Env, r.Keys),
	}
}

// agentEnv completes the manifest's env.bosh: passwords stay locked unless the
// manifest sets one, and the message bus gets its certificate.
func agentEnv(env map[string]any, keys keyPair) map[string]any {
	whole := maps.Clone(env)
	if whole == nil {
		whole = map[string]any{}
	}
	given, _ := whole["bosh"].(map[string]any)
	bosh := map[string]any{"keep_root_password": true, "password": "*"}
	maps.Copy(bosh, given)
	bosh["mbus"] = map[string]any{"cert": map[string]any{
		"ca": keys.Certificate, "certificate": keys.Certificate, "private_key": keys.PrivateKey,
	}}
	whole["bosh"] = bosh
	return whole
}

func endpoint(address netip.Addr, password string, keys keyPair) agent.Endpoint {
	return agent.Endpoint{Address: net.JoinHostPort(address.String(), agentPort), User: "mbus", Password: password, CA: keys.Certificate}
}

func guestDevice(name string) string { return "/dev/" + name }

func addrStrings(addrs []netip.Addr) []string {
	all := make([]string, 0, len(addrs))
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
