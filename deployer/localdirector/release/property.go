package release

import (
	"bytes"
	"encoding/json"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// UnmarshalJSON reads a property back as it was: numbers as int and psych.Float.
func (p *Property) UnmarshalJSON(text []byte) error {
	type plain Property
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode((*plain)(p)); err != nil {
		return err
	}
	p.Default, p.Example = numbers(p.Default), numbers(p.Example)
	return nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return psych.Scalar(v.String())
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
