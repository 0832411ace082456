package broker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"time"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/spi"
)

// catalog is what all SPIs offer together; it does not change once made.
type catalog struct {
	services []domain.Service // as the platform sees it
	byID     map[string]*offering
}

// offering is one service and who provides it.
type offering struct {
	spi.Offering
	provider string
	prefix   string // of its deployments' names
	plans    map[string]*plan
}

// plan is one plan with its schemas compiled.
type plan struct {
	spi.Plan
	create, update, bind *schema
}

// readCatalogs asks every SPI.
func readCatalogs(ctx context.Context, services map[string]spi.Service, prefix string) (*catalog, error) {
	read := make(map[string]spi.Catalog, len(services))
	for name, service := range services {
		call, cancel := context.WithTimeout(ctx, 10*time.Second)
		c, err := service.Catalog(call)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("catalog of spi %s: %w", name, err)
		}
		read[name] = c
	}
	return mergeCatalogs(read, prefix)
}

// errCatalog marks a catalog that was read but cannot be offered.
var errCatalog = errors.New("catalog refused")

// mergeCatalogs joins what the SPIs offer and refuses what a platform would:
// ids and names must be unique among all of them.
func mergeCatalogs(read map[string]spi.Catalog, prefix string) (*catalog, error) {
	merged := &catalog{byID: map[string]*offering{}}
	providers := make([]string, 0, len(read))
	for name := range read {
		providers = append(providers, name)
	}
	sort.Strings(providers)
	taken := map[string]string{}
	var faults []error
	take := func(what, value, where string) {
		key := what + " " + value
		if earlier, twice := taken[key]; twice {
			faults = append(faults, fmt.Errorf("%s: %s %q is used by %s too", where, what, value, earlier))
		}
		taken[key] = where
	}
	for _, provider := range providers {
		for _, o := range read[provider].Services {
			where := fmt.Sprintf("spi %s: service %s", provider, o.Name)
			take("id", o.ID, where)
			take("service name", o.Name, where)
			for _, p := range o.Plans {
				take("id", p.ID, where+": plan "+p.Name)
			}
			made, err := newOffering(provider, prefix, o)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", where, err))
				continue
			}
			merged.byID[o.ID] = made
			merged.services = append(merged.services, made.forPlatform())
		}
	}
	if len(merged.services) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("no SPI offers any service"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(append([]error{errCatalog}, faults...)...)
	}
	return merged, nil
}

// catalogID is what ids of services and plans may be: they travel in query
// strings, labels and tags.
var catalogID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func newOffering(provider, prefix string, o spi.Offering) (*offering, error) {
	made := &offering{Offering: o, provider: provider, prefix: prefix, plans: map[string]*plan{}}
	if prefix == "" {
		made.prefix = namePrefix(o.Name)
	}
	var faults []error
	if !catalogID.MatchString(o.ID) || o.Name == "" || o.Description == "" {
		faults = append(faults, fmt.Errorf("id (matching %s), name and description must be given", catalogID))
	}
	if len(o.Plans) == 0 {
		faults = append(faults, errors.New("it has no plans"))
	}
	names := map[string]bool{}
	for _, p := range o.Plans {
		if !catalogID.MatchString(p.ID) || p.Name == "" || p.Description == "" {
			faults = append(faults, fmt.Errorf("plan %s: id (matching %s), name and description must be given", p.Name, catalogID))
		}
		if names[p.Name] {
			faults = append(faults, fmt.Errorf("plan %s: the name is used twice", p.Name))
		}
		names[p.Name] = true
		compiled, err := newPlan(p)
		if err != nil {
			faults = append(faults, fmt.Errorf("plan %s: %w", p.Name, err))
			continue
		}
		made.plans[p.ID] = compiled
	}
	for _, p := range o.Plans {
		for _, to := range p.MigratesTo {
			if made.plans[to] == nil {
				faults = append(faults, fmt.Errorf("plan %s: migrates_to names %q, which is no plan of this service", p.Name, to))
			}
		}
	}
	return made, errors.Join(faults...)
}

func newPlan(p spi.Plan) (*plan, error) {
	made := &plan{Plan: p}
	var err error
	if made.create, err = compileSchema(p.Schemas.CreateInstance); err != nil {
		return nil, fmt.Errorf("schemas.create_instance: %w", err)
	}
	if made.update, err = compileSchema(p.Schemas.UpdateInstance); err != nil {
		return nil, fmt.Errorf("schemas.update_instance: %w", err)
	}
	if made.bind, err = compileSchema(p.Schemas.CreateBinding); err != nil {
		return nil, fmt.Errorf("schemas.create_binding: %w", err)
	}
	return made, nil
}

func (p *plan) migratesTo(id string) bool {
	for _, to := range p.MigratesTo {
		if to == id {
			return true
		}
	}
	return false
}

// forPlatform is the OSB service object.
func (o *offering) forPlatform() domain.Service {
	out := domain.Service{
		ID: o.ID, Name: o.Name, Description: o.Description, Bindable: o.Bindable, Tags: o.Tags,
		InstancesRetrievable: true, BindingsRetrievable: o.Bindable,
	}
	if len(o.Metadata) > 0 {
		out.Metadata = &domain.ServiceMetadata{AdditionalMetadata: o.Metadata}
	}
	for _, p := range o.Plans {
		out.Plans = append(out.Plans, o.plans[p.ID].forPlatform())
		out.PlanUpdatable = out.PlanUpdatable || len(p.MigratesTo) > 0
	}
	return out
}

// forPlatform is the OSB plan object. All three schemas are given: brokerapi
// writes "parameters": null for one that is absent, which checkers refuse.
func (p *plan) forPlatform() domain.ServicePlan {
	updatable := len(p.MigratesTo) > 0
	out := domain.ServicePlan{
		ID: p.ID, Name: p.Name, Description: p.Description, Free: &p.Free, PlanUpdatable: &updatable,
		Schemas: &domain.ServiceSchemas{
			Instance: domain.ServiceInstanceSchema{Create: domain.Schema{Parameters: p.create.object}, Update: domain.Schema{Parameters: p.update.object}},
			Binding:  domain.ServiceBindingSchema{Create: domain.Schema{Parameters: p.bind.object}},
		},
	}
	if len(p.Metadata) > 0 {
		out.Metadata = &domain.ServicePlanMetadata{AdditionalMetadata: p.Metadata}
	}
	if p.MaximumPollingDuration > 0 {
		seconds := int(p.MaximumPollingDuration / time.Second)
		out.MaximumPollingDuration = &seconds
	}
	if p.MaintenanceInfo.Version != "" {
		// Only these two: Cloud Foundry refuses a catalog with others.
		out.MaintenanceInfo = &domain.MaintenanceInfo{Version: p.MaintenanceInfo.Version, Description: p.MaintenanceInfo.Description}
	}
	return out
}
