package bosh

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// callLimit bounds a call with all its requests. It is below what the client
// of the deployer waits for an answer.
const callLimit = 15 * time.Second

// templates is where manifests come from.
type templates interface {
	List() []deployer.Template
	Template(name string) (deployer.Template, error)
	Render(in deployer.DeployRequest, owner string) ([]byte, error)
	RenderRedacted(in deployer.DeployRequest, owner string) ([]byte, error)
}

// Service is the deployer on a director.
type Service struct {
	remote    remote
	templates templates
	config    Config
	log       *slog.Logger
	now       func() time.Time
	started   time.Time

	locks       locks
	submissions submissions
	stories     stories
	concluded   concluded
}

var _ deployer.Service = (*Service)(nil)

// New makes a deployer on the director of cfg. It does not call the director,
// which may come up later.
func New(cfg Config, templates templates, log *slog.Logger) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("director configuration: %w", err)
	}
	conn, err := newConnection(cfg)
	if err != nil {
		return nil, fmt.Errorf("director connection: %w", err)
	}
	return &Service{remote: remote{conn}, templates: templates, config: cfg, log: log, now: time.Now, started: time.Now()}, nil
}

// Close drops idle connections.
func (s *Service) Close() { s.remote.conn.http.CloseIdleConnections() }

// Check asks the director whether it knows us: a wrong address, certificate or
// password is an error that says so.
func (s *Service) Check(ctx context.Context) error {
	user, err := s.remote.user(ctx)
	if err != nil {
		return err
	}
	if user == "" {
		return fmt.Errorf("the director at %s refuses our credentials", s.config.URL)
	}
	return nil
}

// Deploy implements deployer.Service.
func (s *Service) Deploy(ctx context.Context, in deployer.DeployRequest) (deployer.Operation, error) {
	none := deployer.Operation{}
	if err := checkIDs(in.Name, in.OperationID); err != nil {
		return none, err
	}
	ctx, release, err := s.begin(ctx, in.Name)
	if err != nil {
		return none, err
	}
	defer release()

	var o observed
	if o.own, err = s.own(ctx, in.Name, in.OperationID, task.isDeploy); err != nil {
		return none, err
	}
	if len(o.own) > 0 { // the usual poll needs no more
		if d := decideDeploy(o); d.step == report {
			return s.tell(ctx, in.Name, in.OperationID, d, o)
		}
	}
	manifest, err := s.templates.Render(in, s.config.Owner)
	if err != nil {
		return none, err
	}
	if o.others, err = s.remote.holding(ctx, in.Name); err != nil {
		return none, unavailable(err)
	}
	o.others = without(o.others, o.own)
	o.unsettled = s.unsettled(in.Name)
	d := decideDeploy(o)
	if d.step == submit {
		return s.submit(ctx, in.Name, in.OperationID, func(ctx context.Context) (task, error) {
			return s.remote.deploy(ctx, in.OperationID, manifest)
		})
	}
	return s.tell(ctx, in.Name, in.OperationID, d, o)
}

// Delete implements deployer.Service.
func (s *Service) Delete(ctx context.Context, name, operationID string) (deployer.Operation, error) {
	none := deployer.Operation{}
	if err := checkIDs(name, operationID); err != nil {
		return none, err
	}
	ctx, release, err := s.begin(ctx, name)
	if err != nil {
		return none, err
	}
	defer release()

	o, err := s.observeDelete(ctx, name, operationID)
	if err != nil {
		return none, err
	}
	d := s.decideDelete(operationID, o)
	switch d.step {
	case cancelOther:
		for _, t := range d.cancel {
			s.log.InfoContext(ctx, "cancel task for deletion", "deployment", name, "task_id", t.ID, "description", t.Description)
			if err := s.remote.cancel(ctx, t.ID); err != nil {
				return none, unavailable(err)
			}
		}
	case submit, submitForce:
		if d.step == submitForce {
			s.log.WarnContext(ctx, "delete by force after a failed deletion", "deployment", name, "operation_id", operationID)
		}
		op, err := s.submit(ctx, name, operationID, func(ctx context.Context) (task, error) {
			return s.remote.delete(ctx, operationID, name, d.step == submitForce)
		})
		if absent(err, codeNoDeployment) { // gone between the look and the call
			return deployer.Operation{ID: operationID, Deployment: name, State: deployer.Waiting}, nil
		}
		return op, err
	}
	return s.tell(ctx, name, operationID, d, o)
}

// Operation implements deployer.Service.
func (s *Service) Operation(ctx context.Context, name, operationID string) (deployer.Operation, error) {
	none := deployer.Operation{}
	if err := checkIDs(name, operationID); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	own, err := s.own(ctx, name, operationID, nil)
	if err != nil {
		return none, err
	}
	if len(own) == 0 {
		if s.submissions.open(name, s.now().Add(-s.config.SettleTime)) == operationID {
			return s.tell(ctx, name, operationID, decision{step: wait, state: deployer.Waiting}, observed{unsettled: true})
		}
		return none, fault.New(fault.NotFound, "the director knows no task of operation %s", operationID)
	}
	if own[0].isDelete() {
		o, err := s.observeDelete(ctx, name, operationID)
		if err != nil {
			return none, err
		}
		return s.tell(ctx, name, operationID, s.decideDelete(operationID, o), o)
	}
	o := observed{own: own}
	return s.tell(ctx, name, operationID, decideDeploy(o), o)
}

// Templates implements deployer.Service.
func (s *Service) Templates(context.Context) ([]deployer.Template, error) {
	return s.templates.List(), nil
}

// Template implements deployer.Service.
func (s *Service) Template(_ context.Context, name string) (deployer.Template, error) {
	return s.templates.Template(name)
}

// Render implements deployer.Service.
func (s *Service) Render(_ context.Context, in deployer.DeployRequest) ([]byte, error) {
	return s.templates.RenderRedacted(in, s.config.Owner)
}

func checkIDs(name, operationID string) error {
	if err := deployer.CheckName(name); err != nil {
		return err
	}
	return deployer.CheckOperationID(operationID)
}
