package agent

import (
	"context"
	"encoding/json"
	"fmt"
)

// State is an agent's get_state.
type State struct {
	AgentID  string `json:"agent_id"`
	JobState string `json:"job_state"` // running, starting, failing, stopped, unknown
	VM       struct {
		Name string `json:"name"`
	} `json:"vm"`

	// The applied spec, as far as the director looks at it.
	Deployment        string                     `json:"deployment"`
	Name              string                     `json:"name"`
	Index             *int                       `json:"index"`
	ID                string                     `json:"id"`
	AZ                string                     `json:"az"`
	ConfigurationHash string                     `json:"configuration_hash"`
	Networks          map[string]json.RawMessage `json:"networks"`
	Packages          map[string]json.RawMessage `json:"packages"`

	Vitals    json.RawMessage `json:"vitals"` // with StateFull only; as the director hands it on
	Processes []Process       `json:"processes"`
}

// Process is a job's process as monit sees it.
type Process struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Uptime struct {
		Secs int `json:"secs"`
	} `json:"uptime"`
	Memory struct {
		KB      int     `json:"kb"`
		Percent float64 `json:"percent"`
	} `json:"mem"`
	CPU struct {
		Total float64 `json:"total"`
	} `json:"cpu"`
}

// State asks for the state without vitals.
func (c *Client) State(ctx context.Context) (State, error) { return c.state(ctx) }

// StateFull asks for the state with vitals.
func (c *Client) StateFull(ctx context.Context) (State, error) { return c.state(ctx, "full") }

func (c *Client) state(ctx context.Context, arguments ...any) (State, error) {
	var s State
	value, err := c.send(ctx, "get_state", true, arguments...)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, &Error{"get_state", fmt.Sprintf("agent's state cannot be read: %v", err)}
	}
	return s, nil
}
