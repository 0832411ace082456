package psych

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	boolPattern  = regexp.MustCompile(`^(?i:yes|true|on|no|false|off)$`)
	intPattern   = regexp.MustCompile(`^(?:[-+]?0b[01_]+|[-+]?0[0-7_,]+|[-+]?(?:0|[1-9](?:[0-9]|,[0-9]|_[0-9])*)|[-+]?0x[0-9a-fA-F_,]+)$`)
	floatPattern = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][+-][0-9]+)?$`)
	base60       = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}$`)
	grouping     = strings.NewReplacer("_", "", ",", "")
)

// Scalar tells what a plain scalar means: a string, an int, a Float, a bool or
// nil. yes and on are true, 0755 is octal, 12:30 counts in sixties, 1e3 is text.
// Dates stay text: the director refuses them.
func Scalar(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	}
	switch strings.ToLower(s) {
	case ".inf", "+.inf":
		return Float(math.Inf(1))
	case "-.inf":
		return Float(math.Inf(-1))
	case ".nan":
		return Float(math.NaN())
	}
	if boolPattern.MatchString(s) {
		switch strings.ToLower(s) {
		case "yes", "true", "on":
			return true
		}
		return false
	}
	if intPattern.MatchString(s) {
		return resolveInt(s)
	}
	if base60.MatchString(s) {
		return resolveBase60(s)
	}
	if floatPattern.MatchString(s) && strings.ContainsAny(s, "0123456789") {
		if f, err := strconv.ParseFloat(grouping.Replace(s), 64); err == nil {
			return Float(f)
		}
	}
	return s
}

func resolveInt(s string) any {
	text := grouping.Replace(s)
	sign := ""
	if text[0] == '-' || text[0] == '+' {
		sign, text = text[:1], text[1:]
	}
	base := 10
	switch {
	case strings.HasPrefix(text, "0b"):
		base, text = 2, text[2:]
	case strings.HasPrefix(text, "0x"):
		base, text = 16, text[2:]
	case len(text) > 1 && text[0] == '0':
		base, text = 8, text[1:]
	}
	n, err := strconv.ParseInt(sign+text, base, 64)
	if err == nil {
		return int(n)
	}
	if f, err := strconv.ParseFloat(sign+text, 64); err == nil && base == 10 {
		return Float(f) // beyond 64 bits
	}
	return s
}

func resolveBase60(s string) any {
	sign := 1
	text := strings.TrimPrefix(strings.ReplaceAll(s, "_", ""), "+")
	if strings.HasPrefix(text, "-") {
		sign, text = -1, text[1:]
	}
	total := 0
	for _, part := range strings.Split(text, ":") {
		n, err := strconv.Atoi(part)
		if err != nil || total > math.MaxInt32 {
			return s
		}
		total = total*60 + n
	}
	return sign * total
}
