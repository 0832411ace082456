package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

// handler answers a request; the error it returns becomes the answer
// (respond.go).
type handler func(w http.ResponseWriter, r *http.Request) error

// Content types that some endpoints insist on: with another, they do not
// exist.
const (
	typeYAML = "text/yaml"
	typeJSON = "application/json"
)

// route is one endpoint of the director.
type route struct {
	pattern  string
	consumes string // "": anything
	handle   handler
}

// table is all endpoints.
func (a *api) table() []route {
	return slices.Concat(a.deploymentRoutes(), a.artifactRoutes(), a.configRoutes(), a.directorRoutes(), refusedRoutes())
}

// directorRoutes are about the director and its tasks.
func (a *api) directorRoutes() []route {
	return []route{
		{"GET /info", "", a.info},

		{"GET /tasks", "", a.listTasks},
		{"GET /tasks/{id}", "", a.showTask},
		{"GET /tasks/{id}/output", "", a.taskOutput},
		{"POST /tasks/cancel", typeJSON, a.cancelTasks},
		{"DELETE /task/{id}", "", a.cancelTask},

		{"GET /events", "", a.listEvents},
		{"GET /events/{id}", "", a.showEvent},
		{"GET /locks", "", a.listLocks},
		{"GET /resurrection", "", a.showResurrection},
		{"PUT /resurrection", typeJSON, a.pauseResurrection},
		{"GET /disks", "", a.listOrphanDisks},
		{"GET /orphan_disks", "", a.listOrphanDisks},
		{"DELETE /disks/{cid}", "", a.deleteOrphanDisk},
		{"DELETE /orphan_disks/{cid}", "", a.deleteOrphanDisk},
		{"GET /orphaned_vms", "", a.emptyList},
		{"GET /networks", "", a.emptyList},
	}
}

// deploymentRoutes are about deployments and their instances.
func (a *api) deploymentRoutes() []route {
	return []route{
		{"GET /deployments", "", a.listDeployments},
		{"POST /deployments", typeYAML, a.deploy},
		{"GET /deployments/{deployment}", "", a.showDeployment},
		{"DELETE /deployments/{deployment}", "", a.deleteDeployment},
		{"POST /deployments/{deployment}/diff", typeYAML, a.diffDeployment},
		{"GET /deployments/{deployment}/vms", "", a.listVMs},
		{"GET /deployments/{deployment}/instances", "", a.listInstances},
		{"GET /deployments/{deployment}/variables", "", a.listVariables},
		{"GET /deployments/{deployment}/errands", "", a.listErrands},
		{"POST /deployments/{deployment}/errands/{errand}/runs", "", a.runErrand},
		{"GET /deployments/{deployment}/jobs/{group}/{instance}", "", a.showInstance},
		{"PUT /deployments/{deployment}/jobs/{group}", typeYAML, a.changeState},
		{"PUT /deployments/{deployment}/jobs/{group}/{instance}", typeYAML, a.changeState},
		{"PUT /deployments/{deployment}/jobs/{group}/{instance}/resurrection", typeJSON, a.pauseInstance},
		{"PUT /deployments/{deployment}/instance_groups/{group}/{instance}/ignore", typeJSON, a.ignoreInstance},
		{"POST /deployments/{deployment}/instance_groups/{group}/{instance}/actions/{action}", "", a.actOnInstance},
		{"GET /deployment_configs", "", a.listDeploymentConfigs},
	}
}

// artifactRoutes are about releases and stemcells.
func (a *api) artifactRoutes() []route {
	return []route{
		{"GET /releases", "", a.listReleases},
		{"POST /releases", "", a.uploadRelease},
		{"GET /releases/{name}", "", a.showRelease},
		{"DELETE /releases/{name}", "", a.deleteRelease},
		{"POST /packages/matches", typeYAML, a.matchPackages},
		{"POST /packages/matches_compiled", typeYAML, a.matchCompiledPackages},
		{"GET /stemcells", "", a.listStemcells},
		{"POST /stemcells", "", a.uploadStemcell},
		{"DELETE /stemcells/{name}/{version}", "", a.deleteStemcell},
		{"POST /stemcell_uploads", "", a.stemcellNeeded},
	}
}

// configRoutes are about configs, at their place and at the older ones.
func (a *api) configRoutes() []route {
	table := []route{
		{"GET /configs", "", a.listConfigs},
		{"GET /configs/{id}", "", a.showConfig},
		{"POST /configs", typeJSON, a.updateConfig},
		{"POST /configs/diff", typeJSON, a.diffConfigs},
		{"DELETE /configs", "", a.deleteConfigs},
		{"DELETE /configs/{id}", "", a.deleteConfig},
	}
	for _, kind := range []string{"cloud", "runtime", "cpi"} {
		table = append(table,
			route{"GET /" + kind + "_configs", "", a.listLegacyConfigs(kind)},
			route{"POST /" + kind + "_configs", typeYAML, a.updateLegacyConfig(kind)},
			route{"POST /" + kind + "_configs/diff", typeYAML, a.diffLegacyConfig(kind)},
		)
	}
	return table
}

// refusedRoutes are what a director has and this one does not.
func refusedRoutes() []route {
	var table []route
	for pattern, what := range map[string]string{
		"GET /deployments/{deployment}/jobs/{group}/{instance}/logs":       "logs",
		"POST /deployments/{deployment}/ssh":                               "ssh",
		"GET /deployments/{deployment}/snapshots":                          "snapshots",
		"POST /deployments/{deployment}/snapshots":                         "snapshots",
		"DELETE /deployments/{deployment}/snapshots":                       "snapshots",
		"POST /deployments/{deployment}/jobs/{group}/{instance}/snapshots": "snapshots",
		"POST /deployments/{deployment}/scans":                             "cloud-check",
		"GET /deployments/{deployment}/problems":                           "cloud-check",
		"PUT /deployments/{deployment}/problems":                           "cloud-check",
		"POST /releases/export":                                            "export-release",
		"POST /cleanup":                                                    "clean-up",
		"GET /cleanup/dryrun":                                              "clean-up",
		"PUT /disks/{cid}/attachments":                                     "attach-disk",
	} {
		table = append(table, route{pattern, "", notOffered(what)})
	}
	return table
}

// routes builds the handler of all endpoints. Paths outside of them are the
// concern of whoever would run in front of a director.
func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	known := map[string]bool{}
	for _, route := range a.table() {
		_, path, _ := strings.Cut(route.pattern, " ")
		known[firstSegment(path)] = true
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			if route.consumes != "" && mediaType(r) != route.consumes {
				a.answer(w, r, endpointNotFound(r))
				return
			}
			if err := route.handle(w, r); err != nil {
				a.answer(w, r, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, endpointNotFound(r)) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !known[firstSegment(r.URL.Path)] {
			w.Header().Set("X-Cascade", "pass")
			writeText(w, http.StatusNotFound, "text/plain", "Not Found: "+r.URL.Path)
			return
		}
		if r.URL.Path != "/info" {
			w.Header().Set("WWW-Authenticate", `Basic realm="BOSH Director"`)
			if a.user(r) == "" {
				writeText(w, http.StatusUnauthorized, typeHTML, "Not authorized: '"+r.URL.Path+"'\n")
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

func firstSegment(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// mediaType is the request's content type without its parameters.
func mediaType(r *http.Request) string {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(media))
}
