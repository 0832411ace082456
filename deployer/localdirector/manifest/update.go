package manifest

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	amountPattern = regexp.MustCompile(`^(\d{1,9})(%?)$`)
	watchPattern  = regexp.MustCompile(`^\s*(\d{1,12})\s*(?:-\s*(\d{1,12})\s*)?$`)
)

// parseUpdate reads an `update` block. A group's inherits what it does not say
// from the deployment's, which must say everything.
func parseUpdate(spec *hash, inherited *Update, opts Options) (Update, error) {
	u := Update{Serial: true, VMStrategy: "delete-create", InitialAZs: "serial"}
	if inherited != nil {
		u = *inherited
	}
	r := read(spec)
	for _, a := range []struct {
		key    string
		option string
		into   *Amount
	}{{"canaries", opts.Canaries, &u.Canaries}, {"max_in_flight", opts.MaxInFlight, &u.MaxInFlight}} {
		v, given := r.value(a.key, "String", inherited == nil)
		if a.option != "" {
			v, given = a.option, true
		}
		if r.err != nil {
			return u, r.err
		}
		if given {
			var err error
			if *a.into, err = parseAmount(a.key, v.(string)); err != nil {
				return u, err
			}
		}
	}
	for _, w := range []struct {
		key  string
		into *WatchTime
	}{{"canary_watch_time", &u.CanaryWatchTime}, {"update_watch_time", &u.UpdateWatchTime}} {
		v, given := r.value(w.key, "String", inherited == nil)
		if r.err != nil {
			return u, r.err
		}
		if given {
			var err error
			if *w.into, err = parseWatchTime(v.(string)); err != nil {
				return u, err
			}
		}
	}
	u.VMStrategy = r.strOr("vm_strategy", u.VMStrategy)
	u.Serial = r.boolOr("serial", u.Serial)
	u.InitialAZs = r.strOr("initial_deploy_az_update_strategy", u.InitialAZs)
	if r.err != nil {
		return u, r.err
	}
	if u.VMStrategy != "delete-create" && u.VMStrategy != "create-swap-delete" {
		return u, faultf(CodeValidationInvalidValue, "Invalid vm_strategy '%s', valid strategies are: create-swap-delete, delete-create", u.VMStrategy)
	}
	if u.InitialAZs != "serial" && u.InitialAZs != "parallel" {
		return u, faultf(CodeValidationInvalidValue, "Invalid initial_deploy_az_update_strategy '%s', valid strategies are: 'parallel, serial'", u.InitialAZs)
	}
	return u, nil
}

func parseAmount(key, text string) (Amount, error) {
	parts := amountPattern.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return Amount{}, faultf(CodeValidationInvalidValue, "Property '%s' value (%s) should be a number or a percentage", key, rubyQuote(text))
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return Amount{}, err
	}
	return Amount{Number: n, Percent: parts[2] != ""}, nil
}

func parseWatchTime(text string) (WatchTime, error) {
	parts := watchPattern.FindStringSubmatch(text)
	if parts == nil {
		return WatchTime{}, faultf(CodeUpdateConfigInvalidWatchTime, "Watch time should be an integer or a range of two integers")
	}
	if parts[2] == "" {
		parts[2] = parts[1]
	}
	first, err := milliseconds(parts[1])
	if err != nil {
		return WatchTime{}, err
	}
	last, err := milliseconds(parts[2])
	if err != nil {
		return WatchTime{}, err
	}
	if first > last {
		return WatchTime{}, faultf(CodeUpdateConfigInvalidWatchTime, "Min watch time cannot be greater than max watch time")
	}
	return WatchTime{Min: first, Max: last}, nil
}

func milliseconds(digits string) (time.Duration, error) {
	n, err := strconv.ParseInt(digits, 10, 64)
	return time.Duration(n) * time.Millisecond, err
}
