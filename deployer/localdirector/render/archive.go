package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

func newRenderedJob(name string, files map[string][]byte) RenderedJob {
	job := RenderedJob{Name: name}
	sum := sha256.New()
	for _, p := range slices.Sorted(maps.Keys(files)) {
		f := File{Path: p, Mode: 0o640, Content: files[p]}
		if strings.HasPrefix(p, "bin/") {
			f.Mode = 0o750
		}
		job.Files = append(job.Files, f)
		fmt.Fprintf(sum, "%q %d\n", f.Path, len(f.Content))
		sum.Write(f.Content)
	}
	job.Hash = hex.EncodeToString(sum.Sum(nil))
	return job
}

// seal adds the hash over all jobs and the archive.
func (r *Rendered) seal() error {
	jobs := slices.SortedFunc(slices.Values(r.Jobs), func(a, b RenderedJob) int { return strings.Compare(a.Name, b.Name) })
	sum := sha256.New()
	for _, j := range jobs {
		fmt.Fprintf(sum, "%q %s\n", j.Name, j.Hash)
	}
	r.ConfigurationHash = hex.EncodeToString(sum.Sum(nil))

	var buf bytes.Buffer
	if err := writeArchive(&buf, jobs); err != nil {
		return err
	}
	r.Archive = buf.Bytes()
	digest := sha256.Sum256(r.Archive)
	r.ArchiveDigest = "sha256:" + hex.EncodeToString(digest[:])
	return nil
}

// writeArchive writes no time, owner or order that could differ from one run to the next.
func writeArchive(buf *bytes.Buffer, jobs []RenderedJob) error {
	zipped := gzip.NewWriter(buf)
	archive := tar.NewWriter(zipped)
	for _, j := range jobs {
		for _, dir := range foldersOf(j) {
			if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o750, ModTime: time.Unix(0, 0), Format: tar.FormatGNU}); err != nil {
				return err
			}
		}
		for _, f := range j.Files {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Join(j.Name, f.Path), Mode: int64(f.Mode), Size: int64(len(f.Content)), ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
			if err := archive.WriteHeader(h); err != nil {
				return err
			}
			if _, err := archive.Write(f.Content); err != nil {
				return err
			}
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// foldersOf lists the job's folder and those below it, each after its parent.
func foldersOf(j RenderedJob) []string {
	folders := []string{j.Name}
	for _, f := range j.Files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			folders = append(folders, path.Join(j.Name, dir))
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}
