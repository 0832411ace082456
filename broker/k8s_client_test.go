package broker_test

import (
	"reflect"
	"testing"
	"time"

	osb "sigs.k8s.io/go-open-service-broker-client/v2"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
)

// k8s is the Kubernetes service catalog's client on one instance.
type k8s struct {
	*harness
	osb.Client
	id       string
	identity *osb.OriginatingIdentity
}

func (k *k8s) check(what string, err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%s: %v\n%s", what, err, k.log.tail())
	}
}

// refused returns the API's error code. The client's IsAsyncRequiredError and
// IsConcurrencyError insist on a wording too; the API names only the code.
func (k *k8s) refused(err error) string {
	status, ok := osb.IsHTTPError(err)
	if !ok || status.ErrorMessage == nil {
		return ""
	}
	return *status.ErrorMessage
}

func (k *k8s) poll(operation *osb.OperationKey, want osb.LastOperationState) {
	k.t.Helper()
	service, plan := brokertest.KettleService, brokertest.KettleSmall
	var last *osb.LastOperationResponse
	k.eventually("the operation ends", func() bool {
		var err error
		last, err = k.PollLastOperation(&osb.LastOperationRequest{InstanceID: k.id, ServiceID: &service, PlanID: &plan, OperationKey: operation, OriginatingIdentity: k.identity})
		k.check("poll", err)
		return last.State != osb.StateInProgress
	})
	if last.State != want {
		k.t.Fatalf("got %s: %s", last.State, *last.Description)
	}
}

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
	k := &k8s{harness: h, Client: client, id: "6f1b2c3d-0000-4000-8000-0123456789ab",
		identity: &osb.OriginatingIdentity{Platform: osb.PlatformKubernetes, Value: `{"username":"duke","uid":"c2dde242"}`}}
	k.provisions()
	k.binds()
	k.updates()
	k.removes()
	h.nothing("at the end")
}

func (k *k8s) provisions() {
	catalog, err := k.GetCatalog()
	k.check("catalog", err)
	if len(catalog.Services) != 1 || catalog.Services[0].Plans[0].Schemas.ServiceInstance.Create.Parameters == nil {
		k.t.Errorf("catalog: got %+v", catalog)
	}
	request := &osb.ProvisionRequest{InstanceID: k.id, ServiceID: brokertest.KettleService, PlanID: brokertest.KettleSmall, OrganizationGUID: "org-1", SpaceGUID: "space-1",
		Parameters: map[string]any{"litres": 3}, Context: map[string]any{"platform": "kubernetes", "namespace": "n"}, OriginatingIdentity: k.identity}
	if _, err := k.ProvisionInstance(request); k.refused(err) != "AsyncRequired" {
		k.t.Errorf("provision without accepts_incomplete: got %v", err)
	}
	request.AcceptsIncomplete = true
	provisioned, err := k.ProvisionInstance(request)
	k.check("provision", err)
	if !provisioned.Async || provisioned.OperationKey == nil {
		k.t.Fatalf("provision: got %+v", provisioned)
	}
	early := &osb.BindRequest{InstanceID: k.id, BindingID: "b1", ServiceID: brokertest.KettleService, PlanID: brokertest.KettleSmall}
	if _, err := k.Bind(early); k.refused(err) != "ConcurrencyError" {
		k.t.Errorf("bind during the creation: got %v", err)
	}
	k.poll(provisioned.OperationKey, osb.StateSucceeded)
}

func (k *k8s) binds() {
	app := "app-1"
	bound, err := k.Bind(&osb.BindRequest{InstanceID: k.id, BindingID: "b1", ServiceID: brokertest.KettleService, PlanID: brokertest.KettleSmall,
		AppGUID: &app, BindResource: &osb.BindResource{AppGUID: &app}, OriginatingIdentity: k.identity})
	k.check("bind", err)
	fetched, err := k.GetBinding(&osb.GetBindingRequest{InstanceID: k.id, BindingID: "b1"})
	k.check("fetch binding", err)
	if bound.Credentials["username"] != "user-b1" || !reflect.DeepEqual(bound.Credentials, fetched.Credentials) {
		k.t.Errorf("bound %v, fetched %v", bound.Credentials, fetched.Credentials)
	}
}

func (k *k8s) updates() {
	large := brokertest.KettleLarge
	updated, err := k.UpdateInstance(&osb.UpdateInstanceRequest{InstanceID: k.id, AcceptsIncomplete: true, ServiceID: brokertest.KettleService, PlanID: &large,
		Parameters: map[string]any{"litres": 8}, PreviousValues: &osb.PreviousValues{PlanID: brokertest.KettleSmall}})
	k.check("update", err)
	k.poll(updated.OperationKey, osb.StateSucceeded)
	instance, err := k.GetInstance(&osb.GetInstanceRequest{InstanceID: k.id})
	k.check("fetch", err)
	if instance.PlanID != large || instance.Parameters["litres"] != 8.0 {
		k.t.Errorf("fetch: got %+v", instance)
	}
}

// removes everything, twice: the client takes a 410 for a success, as the API
// says.
func (k *k8s) removes() {
	unbind := &osb.UnbindRequest{InstanceID: k.id, BindingID: "b1", ServiceID: brokertest.KettleService, PlanID: brokertest.KettleLarge}
	for range 2 {
		_, err := k.Unbind(unbind)
		k.check("unbind", err)
	}
	deprovision := &osb.DeprovisionRequest{InstanceID: k.id, AcceptsIncomplete: true, ServiceID: brokertest.KettleService, PlanID: brokertest.KettleLarge}
	deleted, err := k.DeprovisionInstance(deprovision)
	k.check("deprovision", err)
	k.poll(deleted.OperationKey, osb.StateSucceeded)
	again, err := k.DeprovisionInstance(deprovision)
	k.check("deprovision again", err)
	if again.Async {
		k.t.Error("deprovision again: an operation for what is gone")
	}
}
