package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// taskOutput sends what a task has written so far, or the part of it that a
// client does not have yet.
func (a *api) taskOutput(w http.ResponseWriter, r *http.Request) error {
	t, err := a.task(r)
	if err != nil {
		return err
	}
	kind := r.URL.Query().Get("type")
	if kind == "" {
		kind = task.OutputDebug
	}
	contentType := typeHTML
	switch kind {
	case task.OutputEvent, task.OutputResult:
	case task.OutputDebug, task.OutputCPI:
		contentType = "text/plain;charset=utf-8"
	case "none":
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return task.Errorf(codeUnauthorized, "Unknown type %s", kind)
	}
	f, err := a.Queue.Output(t.ID, kind)
	switch {
	case errors.Is(err, os.ErrNotExist) && contentType != typeHTML:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case errors.Is(err, os.ErrNotExist):
		return sendRange(w, r, typeHTML, io.NewSectionReader(nil, 0, 0))
	case err != nil:
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the output of task %d: %w", t.ID, err)
	}
	if contentType != typeHTML {
		w.Header().Set("Last-Modified", info.ModTime().UTC().Format(http.TimeFormat))
	}
	return sendRange(w, r, contentType, io.NewSectionReader(f, 0, info.Size()))
}

var rangePattern = regexp.MustCompile(`^bytes=(\d*)-(\d*)$`)

// sendRange answers a request for all or one range of the content. Several
// ranges, and what is no range, get all of it.
func sendRange(w http.ResponseWriter, r *http.Request, contentType string, content *io.SectionReader) error {
	size := content.Size()
	first, last, ok := parseRange(r.Header.Get("Range"), size)
	h := w.Header()
	if ok && first > last {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		writeText(w, http.StatusRequestedRangeNotSatisfiable, contentType, "Byte range unsatisfiable")
		return nil
	}
	status := http.StatusOK
	if ok {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	} else {
		first, last = 0, size-1
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.FormatInt(last-first+1, 10))
	if contentType == typeHTML {
		h.Set("X-XSS-Protection", "1; mode=block")
		h.Set("X-Frame-Options", "SAMEORIGIN")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.WriteHeader(status)
	_, _ = io.Copy(w, io.NewSectionReader(content, first, last-first+1)) // the client may go away
	return nil
}

// parseRange reads a Range header; ok says that it asks for one range, which
// is empty (first > last) when the content does not have it.
func parseRange(header string, size int64) (first, last int64, ok bool) {
	m := rangePattern.FindStringSubmatch(header)
	if m == nil || m[1] == "" && m[2] == "" {
		return 0, 0, false
	}
	from, err1 := strconv.ParseInt("0"+m[1], 10, 64)
	to, err2 := strconv.ParseInt("0"+m[2], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, 0, false
	}
	switch {
	case m[1] == "": // the last bytes
		return max(size-to, 0), size - 1, true
	case m[2] == "" || to >= size:
		return from, size - 1, true
	case from > to:
		return 0, 0, false
	}
	return from, to, true
}
