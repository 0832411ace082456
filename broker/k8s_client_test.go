package broker_test

import (
	"reflect"
	"testing"
	"time"

	osb "sigs.k8s.io/go-open-service-broker-client/v2"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
)

// The Kubernetes service catalog's client drives the whole life.
func TestLifeWithAnotherClient(t *testing.T) {
	h := start(t)
	h.director.Takes(50 * time.Millisecond)
	cfg := osb.DefaultClientConfiguration()
	cfg.URL, cfg.APIVersion, cfg.EnableAlphaFeatures = h.server.URL, osb.LatestAPIVersion(), true
	cfg.AuthConfig = &osb.AuthConfig{BasicAuthConfig: &osb.BasicAuthConfig{Username: username, Password: password}}
	client, err := osb.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, h.log.tail())
		}
	}
	const id = "6f1b2c3d-0000-4000-8000-0123456789ab"
	service, plan, app := brokertest.KettleService, brokertest.KettleSmall, "app-1"
	identity := &osb.OriginatingIdentity{Platform: osb.PlatformKubernetes, Value: `{"username":"duke","uid":"c2dde242"}`}
	poll := func(operation *osb.OperationKey, want osb.LastOperationState) {
		t.Helper()
		var last *osb.LastOperationResponse
		h.eventually("the operation ends", func() bool {
			var err error
			last, err = client.PollLastOperation(&osb.LastOperationRequest{InstanceID: id, ServiceID: &service, PlanID: &plan, OperationKey: operation, OriginatingIdentity: identity})
			check("poll", err)
			return last.State != osb.StateInProgress
		})
		if last.State != want {
			t.Fatalf("got %s: %s", last.State, *last.Description)
		}
	}

	catalog, err := client.GetCatalog()
	check("catalog", err)
	if len(catalog.Services) != 1 || catalog.Services[0].Plans[0].Schemas.ServiceInstance.Create.Parameters == nil {
		t.Errorf("catalog: got %+v", catalog)
	}
	request := &osb.ProvisionRequest{InstanceID: id, ServiceID: service, PlanID: plan, OrganizationGUID: "org-1", SpaceGUID: "space-1",
		Parameters: map[string]any{"litres": 3}, Context: map[string]any{"platform": "kubernetes", "namespace": "n"}, OriginatingIdentity: identity}
	// The client's IsAsyncRequiredError and IsConcurrencyError insist on a
	// wording; the API names only the code, which is what is checked here.
	refused := func(err error) string {
		status, ok := osb.IsHTTPError(err)
		if !ok || status.ErrorMessage == nil {
			return ""
		}
		return *status.ErrorMessage
	}
	if _, err := client.ProvisionInstance(request); refused(err) != "AsyncRequired" {
		t.Errorf("provision without accepts_incomplete: got %v", err)
	}
	request.AcceptsIncomplete = true
	provisioned, err := client.ProvisionInstance(request)
	check("provision", err)
	if !provisioned.Async || provisioned.OperationKey == nil {
		t.Fatalf("provision: got %+v", provisioned)
	}
	if _, err := client.Bind(&osb.BindRequest{InstanceID: id, BindingID: "b1", ServiceID: service, PlanID: plan}); refused(err) != "ConcurrencyError" {
		t.Errorf("bind during the creation: got %v", err)
	}
	poll(provisioned.OperationKey, osb.StateSucceeded)

	bound, err := client.Bind(&osb.BindRequest{InstanceID: id, BindingID: "b1", ServiceID: service, PlanID: plan, AppGUID: &app, BindResource: &osb.BindResource{AppGUID: &app}, OriginatingIdentity: identity})
	check("bind", err)
	fetched, err := client.GetBinding(&osb.GetBindingRequest{InstanceID: id, BindingID: "b1"})
	check("fetch binding", err)
	if bound.Credentials["username"] != "user-b1" || !reflect.DeepEqual(bound.Credentials, fetched.Credentials) {
		t.Errorf("bound %v, fetched %v", bound.Credentials, fetched.Credentials)
	}

	large := brokertest.KettleLarge
	updated, err := client.UpdateInstance(&osb.UpdateInstanceRequest{InstanceID: id, AcceptsIncomplete: true, ServiceID: service, PlanID: &large, Parameters: map[string]any{"litres": 8},
		PreviousValues: &osb.PreviousValues{PlanID: plan}})
	check("update", err)
	poll(updated.OperationKey, osb.StateSucceeded)
	instance, err := client.GetInstance(&osb.GetInstanceRequest{InstanceID: id})
	check("fetch", err)
	if instance.PlanID != large || instance.Parameters["litres"] != 8.0 {
		t.Errorf("fetch: got %+v", instance)
	}

	_, err = client.Unbind(&osb.UnbindRequest{InstanceID: id, BindingID: "b1", ServiceID: service, PlanID: large})
	check("unbind", err)
	// The client takes a 410 for a success, as the API says.
	_, err = client.Unbind(&osb.UnbindRequest{InstanceID: id, BindingID: "b1", ServiceID: service, PlanID: large})
	check("unbind again", err)
	deleted, err := client.DeprovisionInstance(&osb.DeprovisionRequest{InstanceID: id, AcceptsIncomplete: true, ServiceID: service, PlanID: large})
	check("deprovision", err)
	poll(deleted.OperationKey, osb.StateSucceeded)
	again, err := client.DeprovisionInstance(&osb.DeprovisionRequest{InstanceID: id, AcceptsIncomplete: true, ServiceID: service, PlanID: large})
	check("deprovision again", err)
	if again.Async {
		t.Error("deprovision again: an operation for what is gone")
	}
	h.nothing("at the end")
}
