package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

const goodJob = `name: j
templates: {t.erb: config/t}
packages: [p]
properties: {}
`

// handMade is a release tarball with one job and one package, and what is wrong with it.
type handMade struct {
	version     string
	job         string              // job.MF
	jobEntries  []releasetest.Entry // instead of the usual ones
	pkg         []byte              // the package's tarball
	packages    string              // the packages of release.MF
	jobDigest   string
	leaveOut    string
	more        []releasetest.Entry // in the release's tarball
	manifestAdd string
}

func (h handMade) write(t *testing.T) string {
	t.Helper()
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	if h.jobEntries == nil {
		h.jobEntries = []releasetest.Entry{
			{Name: "./job.MF", Body: or(h.job, goodJob)}, {Name: "./monit", Body: "check process j\n"}, {Name: "./templates/t.erb", Body: "<%= 1 %>"},
		}
	}
	job := releasetest.Tarball(t, h.jobEntries...)
	if h.pkg == nil {
		h.pkg = releasetest.Tarball(t, releasetest.Entry{Name: "packaging", Body: "true\n"})
	}
	jobSum, pkgSum := sha256.Sum256(job), sha1.Sum(h.pkg)
	packages := or(h.packages, fmt.Sprintf("[{name: p, version: fp-p, fingerprint: fp-p, sha1: %q, dependencies: []}]", hex.EncodeToString(pkgSum[:])))
	manifest := fmt.Sprintf("name: r\nversion: %q\ncommit_hash: abc\nuncommitted_changes: false\njobs: [{name: j, version: fp-j, fingerprint: fp-j, sha1: %q, packages: [p]}]\npackages: %s\n%s",
		or(h.version, "1"), or(h.jobDigest, "sha256:"+hex.EncodeToString(jobSum[:])), packages, h.manifestAdd)
	all := append([]releasetest.Entry{{Name: "release.MF", Body: manifest}, {Name: "jobs/j.tgz", Body: string(job)}, {Name: "packages/p.tgz", Body: string(h.pkg)}}, h.more...)
	var entries []releasetest.Entry
	for _, e := range all {
		if e.Name != h.leaveOut {
			entries = append(entries, e)
		}
	}
	return writeFile(t, releasetest.Tarball(t, entries...))
}

func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "upload.tgz")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(name, target string) releasetest.Entry {
	return releasetest.Entry{Name: name, Header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: target}}
}

// bomb is a gzip stream of so many zeros.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	zeros := make([]byte, 1<<20)
	for ; size > 0; size -= int64(len(zeros)) {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// bigFile is a job archive with one file of more than a job may have.
func bigFile(t *testing.T) []releasetest.Entry {
	return []releasetest.Entry{{Name: "job.MF", Body: goodJob}, {Name: "monit", Body: strings.Repeat("x", 65<<20)}}
}

// packages has two packages with the given dependencies, whose archives are never looked at.
func packages(p, q string) string {
	return fmt.Sprintf("[{name: p, fingerprint: fp, sha1: x, dependencies: [%s]}, {name: q, fingerprint: fq, sha1: x, dependencies: [%s]}]", p, q)
}

func TestReleasesThatAreRefused(t *testing.T) {
	job := func(replace, by string) string { return strings.Replace(goodJob, replace, by, 1) }
	good := handMade{}.write(t)
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0xff
	tests := map[string]struct {
		tarball string
		code    int
		message string
	}{
		"empty file":             {writeFile(t, nil), 30002, "not a gzipped tarball"},
		"not a tarball":          {writeFile(t, []byte("hello")), 30002, "not a gzipped tarball"},
		"gzip of no tarball":     {writeFile(t, bomb(t, 4096)), 30003, "Release manifest not found"},
		"cut off":                {writeFile(t, whole[:len(whole)-20]), 30002, "broken tarball"},
		"damaged":                {writeFile(t, flipped), 30002, "broken tarball"},
		"no manifest":            {handMade{leaveOut: "release.MF"}.write(t), 30003, "Release manifest not found"},
		"path that leaves":       {handMade{more: []releasetest.Entry{{Name: "../evil", Body: "x"}}}.write(t), 30002, "'../evil' leaves the archive"},
		"path that leaves later": {handMade{more: []releasetest.Entry{{Name: "jobs/../../evil", Body: "x"}}}.write(t), 30002, "leaves the archive"},
		"absolute path":          {handMade{more: []releasetest.Entry{{Name: "/etc/evil", Body: "x"}}}.write(t), 30002, "leaves the archive"},
		"link":                   {handMade{more: []releasetest.Entry{link("jobs/evil.tgz", "/etc/passwd")}}.write(t), 30002, "is a link"},
		"device":                 {handMade{more: []releasetest.Entry{{Name: "dev", Header: tar.Header{Typeflag: tar.TypeChar}}}}.write(t), 30002, "neither file, folder nor link"},
		"same file twice":        {handMade{more: []releasetest.Entry{{Name: "jobs/j.tgz", Body: "x"}}}.write(t), 30002, "comes twice"},
		"manifest not YAML":      {handMade{manifestAdd: "\tx: ["}.write(t), 30002, "Parsing release manifest"},
		"license digest":         {handMade{manifestAdd: "license: {sha1: x}\n", more: []releasetest.Entry{{Name: "license.tgz", Body: "x"}}}.write(t), 30002, "License: "},
		"bad version":            {handMade{version: "1/2"}.write(t), 30010, "Release version invalid: 1/2"},
		"compiled release":       {handMade{manifestAdd: "compiled_packages: [{name: p, fingerprint: x, sha1: x, stemcell: a/1}]\n"}.write(t), 30012, "compiled packages"},
		"package cycle":          {handMade{packages: packages("q", "p")}.write(t), 30012, "cycle: p => q => p"},
		"package unknown":        {handMade{packages: packages("z", "")}.write(t), 30012, "'p' depends on package 'z'"},
		"package twice":          {handMade{packages: "[{name: p, fingerprint: a, sha1: x}, {name: p, fingerprint: a, sha1: x}]"}.write(t), 30012, "two packages 'p'"},
		"package name":           {handMade{packages: "[{name: ../p, fingerprint: a, sha1: x}]"}.write(t), 30012, "Name of a package invalid"},
		"package absent":         {handMade{leaveOut: "packages/p.tgz"}.write(t), 60000, "Package 'p' is missing"},
		"package digest":         {handMade{packages: "[{name: p, fingerprint: a, sha1: 0000000000000000000000000000000000000000}]"}.write(t), 60000, "Package 'p': Expected stream to have digest"},
		"package no tarball":     {handMade{pkg: []byte("no")}.write(t), 60000, "Extracting package 'p' failed: not a gzipped tarball"},
		"package path":           {handMade{pkg: releasetest.Tarball(t, releasetest.Entry{Name: "../../x"})}.write(t), 60000, "leaves the archive"},
		"package of the job":     {handMade{job: job("[p]", "[p, z]")}.write(t), 80003, "Job 'j' has package 'z'"},
		"job absent":             {handMade{leaveOut: "jobs/j.tgz"}.write(t), 80000, "Job 'j' is missing"},
		"job digest":             {handMade{jobDigest: "sha256:" + strings.Repeat("0", 64)}.write(t), 80000, "Job 'j': Expected stream to have digest"},
		"job unfolds":            {handMade{jobEntries: bigFile(t)}.write(t), 80000, "unfolds to more than 64 MiB"},
		"job manifest absent":    {handMade{jobEntries: []releasetest.Entry{{Name: "monit"}}}.write(t), 80001, "Missing job manifest for 'j'"},
		"job manifest a link":    {handMade{jobEntries: []releasetest.Entry{link("job.MF", "/etc/passwd")}}.write(t), 80001, "Missing job manifest for 'j'"},
		"job of another name":    {handMade{job: job("name: j", "name: k")}.write(t), 80000, "Inconsistent name for job 'j'"},
		"monit absent":           {handMade{jobEntries: []releasetest.Entry{{Name: "job.MF", Body: goodJob}}}.write(t), 80004, "missing monit file"},
		"template absent":        {handMade{job: job("t.erb", "u.erb")}.write(t), 80002, "Missing template file 'u.erb'"},
		"template leaves":        {handMade{job: job("t.erb", "../monit")}.write(t), 80002, "leaves the job's folder"},
		"template target":        {handMade{job: job("config/t", "../../etc/t")}.write(t), 80002, "not below the job's folder"},
		"template target monit":  {handMade{job: job("config/t", "monit")}.write(t), 80002, "renders both"},
		"template is a link": {handMade{jobEntries: []releasetest.Entry{{Name: "job.MF", Body: goodJob}, {Name: "monit"}, link("templates/t.erb", "/etc/shadow")}}.write(t), 80002,
			"'t.erb' for job 'j' is a link"},
		"properties a list":   {handMade{job: job("properties: {}", "properties: [a]")}.write(t), 80008, "invalid properties spec format"},
		"properties endless":  {handMade{job: job("properties: {}", "properties: &a {x: {default: *a}}")}.write(t), 80008, "invalid properties spec format"},
		"provides no list":    {handMade{job: goodJob + "provides: {a: b}\n"}.write(t), 80013, "'provides' must be an array of hashes with name and type"},
		"provides no type":    {handMade{job: goodJob + "provides: [{name: a}]\n"}.write(t), 80013, "must contain 'name' and 'type'"},
		"provides optional":   {handMade{job: goodJob + "provides: [{name: a, type: t, optional: true}]\n"}.write(t), 80013, "not allowed to have 'optional' key"},
		"consumes name twice": {handMade{job: goodJob + "consumes: [{name: a, type: t}, {name: a, type: u}]\n"}.write(t), 80014, "duplicate consumes link with name 'a'"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s, dir := openStore(t)
			_, err := s.AddRelease(t.Context(), tc.tarball, nil)
			var fault *release.Error
			if !errors.As(err, &fault) {
				t.Fatalf("error is %v, want a *release.Error", err)
			}
			if fault.Code != tc.code || !strings.Contains(fault.Message, tc.message) {
				t.Errorf("error is %d %q, want %d %q", fault.Code, fault.Message, tc.code, tc.message)
			}
			if left := filesIn(t, dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A sparse file of a tarball can be of any size without having any bytes.
func TestSparseBomb(t *testing.T) {
	header := make([]byte, 512)
	copy(header, "jobs/j.tgz")
	copy(header[100:], "0000644\x000000000\x000000000\x00")
	copy(header[124:], "00000000000\x0000000000000\x00")
	header[156] = 'S' // GNU sparse
	copy(header[257:], "ustar  \x00")
	copy(header[483:], "77777777777\x00") // real size
	sum := 8 * int(' ')
	for i, b := range header {
		if i < 148 || i >= 156 {
			sum += int(b)
		}
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(append(header, make([]byte, 1024)...)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s, dir := openStore(t)
	_, err := s.AddRelease(t.Context(), writeFile(t, buf.Bytes()), nil)
	var fault *release.Error
	if !errors.As(err, &fault) || fault.Code != release.CodeReleaseInvalidArchive {
		t.Errorf("error is %v", err)
	}
	t.Log(err)
	if left := filesIn(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
