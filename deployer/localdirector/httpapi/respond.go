package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// typeHTML is what most of the director's JSON is sent as.
const typeHTML = "text/html;charset=utf-8"

// The director's error codes that the API itself answers with.
const (
	codeTaskNotFound       = 10000
	codeReleaseNotFound    = 30005
	codeVersionNotFound    = 30006
	codeMissingField       = 40001
	codeInvalidValue       = 40005
	codeStemcellNotFound   = 50003
	codeDeploymentNotFound = 70000
	codeInstanceNotFound   = 70001
	codeInvalidIndex       = 70002
	codeJobNotFound        = 70009
	codeResourceNotFound   = 100002
	codeInvalidState       = 140008
	codeInvalidConfigRef   = 190025
	codeBadManifest        = 440001
	codeBadConfigRequest   = 440010
	codeBadConfig          = 440011
	codeConfigNotFound     = 440012
	codeUnauthorized       = 600000
	codeInvalidJSON        = 710001
)

// statusOf is the HTTP status of a director's error code.
func statusOf(code int) int {
	switch code {
	case codeTaskNotFound, codeReleaseNotFound, codeVersionNotFound, codeStemcellNotFound, codeDeploymentNotFound,
		codeInstanceNotFound, codeJobNotFound, codeResourceNotFound, codeConfigNotFound:
		return http.StatusNotFound
	case codeUnauthorized:
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// textError is an error that the director answers as plain words.
type textError struct {
	status int
	text   string
	// cascade marks what the director's framework says for lack of a route.
	cascade bool
}

func (e *textError) Error() string { return e.text }

func endpointNotFound(r *http.Request) error {
	return &textError{http.StatusNotFound, "Endpoint '" + r.URL.Path + "' not found.", true}
}

// notOffered refuses what a director does and this one does not.
func notOffered(what string) handler {
	return func(http.ResponseWriter, *http.Request) error {
		return &textError{http.StatusNotImplemented, "The local director does not offer " + what + ".", false}
	}
}

// answer writes an error. What has no code and no words for the user is
// logged and stays here.
func (a *api) answer(w http.ResponseWriter, r *http.Request, err error) {
	var (
		text  *textError
		coded interface{ ErrorCode() int }
		large *http.MaxBytesError
	)
	switch {
	case errors.As(err, &text):
		if text.cascade {
			w.Header().Set("X-Cascade", "pass")
		}
		writeText(w, text.status, typeHTML, text.text)
	case errors.As(err, &coded):
		writeJSONAs(w, statusOf(coded.ErrorCode()), typeHTML, errorBody{coded.ErrorCode(), err.Error()})
	case errors.As(err, &large):
		writeText(w, http.StatusRequestEntityTooLarge, typeHTML, fmt.Sprintf("Request body is larger than %d bytes.", large.Limit))
	case errors.Is(err, task.ErrClosed):
		w.Header().Set("Retry-After", "5")
		writeText(w, http.StatusServiceUnavailable, typeHTML, "The director is shutting down.")
	case errors.Is(err, context.Canceled):
		a.Log.Debug("the client went away", "method", r.Method, "path", r.URL.Path)
	default:
		a.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		writeText(w, http.StatusInternalServerError, typeHTML, "")
	}
}

type errorBody struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// writeHTMLJSON answers 200 with JSON that calls itself HTML.
func writeHTMLJSON(w http.ResponseWriter, v any) error {
	writeJSONAs(w, http.StatusOK, typeHTML, v)
	return nil
}

// writeJSON answers 200 with JSON that says so.
func writeJSON(w http.ResponseWriter, v any) error {
	writeJSONAs(w, http.StatusOK, typeJSON, v)
	return nil
}

func writeJSONAs(w http.ResponseWriter, status int, contentType string, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // only a type that is wrong here
		panic(fmt.Sprintf("encode an answer: %v", err))
	}
	writeText(w, status, contentType, string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))))
}

// writeText answers with a body of known length.
func writeText(w http.ResponseWriter, status int, contentType, body string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if contentType == typeHTML {
		h.Set("X-XSS-Protection", "1; mode=block")
		h.Set("X-Frame-Options", "SAMEORIGIN")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that went away is told nothing
}

// start queues a task and sends the client to it.
func (a *api) start(w http.ResponseWriter, r *http.Request, request task.Request, f task.Func) error {
	request.User = a.user(r)
	request.ContextID = r.Header.Get(headerContextID)
	id, err := a.Queue.Enqueue(r.Context(), request, f)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("https://%s/tasks/%d", r.Host, id))
	writeText(w, http.StatusFound, typeHTML, "")
	return nil
}
