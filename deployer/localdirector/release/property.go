package release

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// UnmarshalJSON reads a property back as it was, with whole numbers as int.
func (p *Property) UnmarshalJSON(text []byte) error {
	type plain Property
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode((*plain)(p)); err != nil {
		return err
	}
	p.Default, p.Example = wholeNumbers(p.Default), wholeNumbers(p.Example)
	return nil
}

func wholeNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(v.String()); err == nil {
			return i
		}
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = wholeNumbers(v[k])
		}
	}
	return v
}
