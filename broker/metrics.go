package broker

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-osb/holdfast/store"
)

type metrics struct{ orphans gauge }

type gauge struct{}

func (gauge) Set(float64) {}

func newMetrics(store.Store, *slog.Logger) *metrics { return &metrics{} }

func (m *metrics) handler() http.Handler                      { return http.NotFoundHandler() }
func (m *metrics) requestAnswered(string, int, time.Duration) {}
func (m *metrics) operationEnded(op store.Operation)          {}
