package db

import (
	"context"
	"encoding/json"
	"fmt"
)

// Variable is a generated value. The newest value of a name counts; there is
// one row per name.
type Variable struct {
	ID         string // changes with the value
	Name       string // absolute: /DIRECTOR/DEPLOYMENT/NAME, or what a manifest wrote with a leading slash
	Deployment string // that made it; its variables go when it goes
	Type       string
	Options    json.RawMessage
	Value      json.RawMessage // secret
}

// PutVariable stores the value of a name, replacing an earlier one.
func (d *DB) PutVariable(ctx context.Context, v Variable) error {
	cols, err := jsonValues(v.Options, v.Value)
	if err != nil {
		return fmt.Errorf("store variable %s: %w", v.Name, err)
	}
	_, err = d.exec(ctx, `INSERT INTO variables (id, name, deployment, type, options, value) VALUES (?,?,?,?,?,?)
		ON CONFLICT (name) DO UPDATE SET id = excluded.id, deployment = excluded.deployment, type = excluded.type,
			options = excluded.options, value = excluded.value`,
		v.ID, v.Name, v.Deployment, v.Type, cols[0], cols[1])
	if err != nil {
		return fmt.Errorf("store variable %s: %w", v.Name, err)
	}
	return nil
}

// Variable finds a variable by its absolute name. Faults: ErrNotFound.
func (d *DB) Variable(ctx context.Context, name string) (Variable, error) {
	v, err := one(ctx, d, scanVariable, `SELECT id, name, deployment, type, options, value FROM variables WHERE name = ?`, name)
	if err != nil {
		return Variable{}, fmt.Errorf("find variable %s: %w", name, err)
	}
	return v, nil
}

// Variables lists the variables a deployment made, by name.
func (d *DB) Variables(ctx context.Context, deployment string) ([]Variable, error) {
	list, err := all(ctx, d, scanVariable, `SELECT id, name, deployment, type, options, value FROM variables
		WHERE deployment = ? ORDER BY name`, deployment)
	if err != nil {
		return nil, fmt.Errorf("list variables of %s: %w", deployment, err)
	}
	return list, nil
}

func scanVariable(s scanner) (Variable, error) {
	var v Variable
	err := s.Scan(&v.ID, &v.Name, &v.Deployment, &v.Type, rawJSON{&v.Options}, rawJSON{&v.Value})
	return v, err
}
