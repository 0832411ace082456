package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// deployments is what tasks do to a deployment; *operation.Director.
type deployments interface {
	Deploy(ctx context.Context, run *task.Run, r operation.DeployRequest) (string, error)
	Delete(ctx context.Context, run *task.Run, r operation.DeleteRequest) (string, error)
	ChangeState(ctx context.Context, run *task.Run, r operation.StateRequest) (string, error)
	ActOnInstance(ctx context.Context, run *task.Run, r operation.ActionRequest) (string, error)
	DeleteOrphanDisk(ctx context.Context, run *task.Run, cid string) (string, error)
}

// inspections look at a deployment or run an errand; *operation.Director.
type inspections interface {
	WriteInstances(ctx context.Context, run *task.Run, r operation.InstancesRequest) (string, error)
	RunErrand(ctx context.Context, run *task.Run, r operation.ErrandRequest) (string, error)
	Errands(ctx context.Context, deployment string) ([]string, error)
}

// uploads is what tasks do to artifacts; *upload.Uploads. The create methods
// own the file at path from then on.
type uploads interface {
	CreateRelease(ctx context.Context, run *task.Run, path string, fix bool) (string, error)
	DeleteRelease(ctx context.Context, run *task.Run, name, version string) (string, error)
	CreateStemcell(ctx context.Context, run *task.Run, path string, fix bool) (string, error)
	DeleteStemcell(ctx context.Context, run *task.Run, name, version string, force bool) (string, error)
}

// queue takes and cancels tasks; *task.Queue.
type queue interface {
	Enqueue(ctx context.Context, r task.Request, f task.Func) (int64, error)
	Cancel(ctx context.Context, id int64) error
	Output(id int64, kind string) (*os.File, error)
	Locks() []task.Lock
}

// Config is what the API needs.
type Config struct {
	DB          *db.DB
	Queue       queue
	Deployments deployments
	Inspections inspections
	Uploads     uploads
	// UploadDir is where tarballs are received. Its content is not kept.
	UploadDir string
	// MaxUpload bounds a tarball, default 8 GiB.
	MaxUpload int64
	Name      string // the director's
	UUID      string
	Version   string
	Username  string
	Password  string
	Log       *slog.Logger
	Now       func() time.Time // default time.Now
}

const defaultMaxUpload = 8 << 30

// api answers requests.
type api struct {
	Config
	// configs serializes "compare, then store" of configs.
	configs sync.Mutex
}

// New returns the API's handler. It needs nothing of the server in front of
// it but TLS.
func New(c Config) http.Handler {
	if c.MaxUpload == 0 {
		c.MaxUpload = defaultMaxUpload
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &api{Config: c}
	return a.logged(a.guarded(a.routes()))
}
