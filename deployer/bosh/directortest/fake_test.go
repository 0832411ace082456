package directortest_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
)

func TestFake(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{Step: 3 * time.Millisecond})
	directortest.Suite(t, directortest.Target{URL: fake.URL, CACert: fake.CACert, Username: fake.Username, Password: fake.Password,
		StemcellOS: "any", Limit: 10 * time.Second})
}
