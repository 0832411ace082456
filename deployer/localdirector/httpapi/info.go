package httpapi

import "net/http"

// info says who we are. It needs no authentication, and a wrong password is
// no error here: it only leaves the user empty.
func (a *api) info(w http.ResponseWriter, r *http.Request) error {
	type feature struct {
		Status bool           `json:"status"`
		Extras map[string]any `json:"extras,omitempty"`
	}
	domain := map[string]any{"domain_name": "bosh"}
	var user *string
	if name := a.user(r); name != "" {
		user = &name
	}
	return writeJSON(w, struct {
		Name            string  `json:"name"`
		UUID            string  `json:"uuid"`
		Version         string  `json:"version"`
		User            *string `json:"user"`
		CPI             string  `json:"cpi"`
		StemcellOS      string  `json:"stemcell_os"`
		StemcellVersion string  `json:"stemcell_version"`
		Authentication  any     `json:"user_authentication"`
		Features        any     `json:"features"`
	}{
		Name: a.Name, UUID: a.UUID, Version: a.Version, User: user, CPI: "holdfast-local",
		StemcellOS: "-", StemcellVersion: "-",
		Authentication: struct {
			Type    string   `json:"type"`
			Options struct{} `json:"options"`
		}{Type: "basic"},
		Features: struct {
			LocalDNS     feature `json:"local_dns"`
			PowerDNS     feature `json:"power_dns"`
			Snapshots    feature `json:"snapshots"`
			ConfigServer feature `json:"config_server"`
		}{
			LocalDNS: feature{Extras: domain}, PowerDNS: feature{Extras: domain},
			ConfigServer: feature{Extras: map[string]any{"urls": []string{}}},
		},
	})
}
