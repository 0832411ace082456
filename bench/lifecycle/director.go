package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	boshdir "github.com/cloudfoundry/bosh-cli/v7/director"
	boshlog "github.com/cloudfoundry/bosh-utils/logger"

	"github.com/holdfast-osb/holdfast/internal/stack"
)

// directorWatch times tasks from outside: the director's own times are whole
// seconds.
type directorWatch struct{ director boshdir.Director }

func watchDirector(folder stack.Folder) (*directorWatch, error) {
	var settings struct {
		Address  string `json:"director_address"`
		Username string `json:"director_username"`
		Password string `json:"director_password"`
	}
	content, err := os.ReadFile(filepath.Join(string(folder), "settings.json"))
	if err != nil {
		return nil, fmt.Errorf("read the stack's settings: %w", err)
	}
	if err := json.Unmarshal(content, &settings); err != nil {
		return nil, fmt.Errorf("read the stack's settings: %w", err)
	}
	ca, err := os.ReadFile(folder.DirectorCA())
	if err != nil {
		return nil, fmt.Errorf("read the director's CA: %w", err)
	}
	config, err := boshdir.NewConfigFromURL("https://" + settings.Address)
	if err != nil {
		return nil, err
	}
	config.CACert, config.Client, config.ClientSecret = string(ca), settings.Username, settings.Password
	director, err := boshdir.NewFactory(boshlog.NewLogger(boshlog.LevelNone)).New(config, boshdir.NewNoopTaskReporter(), boshdir.NewNoopFileReporter())
	if err != nil {
		return nil, fmt.Errorf("connect to the director: %w", err)
	}
	return &directorWatch{director}, nil
}

type timedTask struct {
	took time.Duration
	err  error
}

// next times the director's next task.
func (w *directorWatch) next(ctx context.Context) <-chan timedTask {
	done := make(chan timedTask, 1)
	before, err := w.newest()
	if err != nil {
		done <- timedTask{err: err}
		return done
	}
	go func() {
		took, err := w.time(ctx, before+1)
		done <- timedTask{took, err}
	}()
	return done
}

func (w *directorWatch) newest() (int, error) {
	tasks, err := w.director.RecentTasks(1, boshdir.TasksFilter{All: true})
	if err != nil || len(tasks) == 0 {
		return 0, errors.Join(errors.New("the director shows no task"), err)
	}
	return tasks[0].ID(), nil
}

func (w *directorWatch) time(ctx context.Context, id int) (time.Duration, error) {
	var begin time.Time
	for {
		task, err := w.director.FindTask(id)
		switch {
		case err != nil && begin.IsZero(): // not there yet
		case err != nil:
			return 0, err
		case begin.IsZero():
			begin = time.Now()
		case task.State() == "done":
			return time.Since(begin), nil
		case task.State() == "error" || task.State() == "cancelled":
			return 0, fmt.Errorf("director task %d ended in %s", id, task.State())
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
}
