package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

const (
	typeTarball   = "application/x-compressed"
	typeMultipart = "multipart/form-data"
	// uploadStall is how long an upload may send nothing.
	uploadStall = time.Minute
)

// uploadTask is a task that owns the tarball at path.
type uploadTask func(ctx context.Context, run *task.Run, path string, fix bool) (string, error)

// takeIn receives a tarball and starts the task on it. The director would
// also fetch one from a URL; this one says that it does not.
func (a *api) takeIn(w http.ResponseWriter, r *http.Request, request task.Request, f uploadTask) error {
	switch mediaType(r) {
	case typeTarball, typeMultipart:
	case typeJSON:
		return task.Errorf(codeInvalidValue, "The local director does not download: fetch the file and upload it with its path instead of its URL")
	default:
		return endpointNotFound(r)
	}
	if isTrue(r, "rebase") {
		return task.Errorf(codeInvalidValue, "The local director does not rebase releases: upload with a version of its own")
	}
	path, err := a.receive(w, r)
	if err != nil {
		return err
	}
	fix := isTrue(r, "fix")
	err = a.start(w, r, request, func(ctx context.Context, run *task.Run) (string, error) { return f(ctx, run, path, fix) })
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// receive streams the tarball of a request to a file of its own.
func (a *api) receive(w http.ResponseWriter, r *http.Request) (path string, err error) {
	r.Body = &movingDeadline{
		ReadCloser: http.MaxBytesReader(w, r.Body, a.MaxUpload),
		control:    http.NewResponseController(w),
	}
	content := io.Reader(r.Body)
	if mediaType(r) == typeMultipart {
		if content, err = filePart(r); err != nil {
			return "", err
		}
	}
	f, err := os.CreateTemp(a.UploadDir, "upload-")
	if err != nil {
		return "", fmt.Errorf("receive an upload: %w", err)
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(asUploadFault(err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// asUploadFault tells a client that sent less than it said from trouble here.
func asUploadFault(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return task.Errorf(codeInvalidValue, "The upload ended before all of the file was received")
	}
	return fmt.Errorf("receive an upload: %w", err)
}

// filePart finds the first file of a form.
func filePart(r *http.Request) (io.Reader, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return nil, task.Errorf(codeInvalidValue, "The upload is not a form: %v", err)
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, task.Errorf(codeInvalidValue, "The upload's form has no file")
		}
		if err != nil {
			return nil, asUploadFault(err)
		}
		if part.FileName() != "" {
			return part, nil
		}
	}
}

// movingDeadline lets a large upload take its time as long as it moves.
type movingDeadline struct {
	io.ReadCloser
	control *http.ResponseController
	next    time.Time
}

func (m *movingDeadline) Read(p []byte) (int, error) {
	if now := time.Now(); now.After(m.next) {
		_ = m.control.SetReadDeadline(now.Add(uploadStall))
		m.next = now.Add(time.Second)
	}
	return m.ReadCloser.Read(p)
}
