package release

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"path/filepath"
	"strings"
)

// limits bound what a tarball may unfold to.
type limits struct {
	bytes   int64
	entries int
}

var (
	releaseLimits  = limits{bytes: 16 << 30, entries: 10_000}
	packageLimits  = limits{bytes: 16 << 30, entries: 2_000_000}
	jobLimits      = limits{bytes: 64 << 20, entries: 10_000}
	stemcellLimits = limits{bytes: 16 << 30, entries: 1_000}
)

// manifestLimit bounds release.MF, job.MF and stemcell.MF.
const manifestLimit = 4 << 20

func (l limits) tooLarge() error { return defectf("unfolds to more than %d MiB", l.bytes>>20) }

// walkTarball calls visit for every entry of a gzipped tarball, with its name
// cleaned ("./a//b" is "a/b"). Names that leave the archive, devices, broken
// data and more than the limits allow are a *defectError. visit need not read
// the entry's content; all of it is read and counted.
func walkTarball(ctx context.Context, r io.Reader, max limits, visit func(name string, h *tar.Header, content io.Reader) error) error {
	source := &contextReader{ctx: ctx, r: r}
	unzipped, err := gzip.NewReader(source)
	if err != nil {
		return readFault(source, "not a gzipped tarball")
	}
	budget := &boundedReader{r: unzipped, left: max.bytes}
	archive := tar.NewReader(budget)
	var unfolded int64 // sparse files are larger than what is read for them
	for entries := 0; ; entries++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return budget.fault(source, max, "broken tarball: "+err.Error())
		}
		if entries >= max.entries {
			return defectf("more than %d entries", max.entries)
		}
		if unfolded += h.Size; h.Size > max.bytes || unfolded > max.bytes {
			return max.tooLarge()
		}
		name, err := entryName(h)
		if err != nil {
			return err
		}
		content := &entryReader{r: archive}
		if err := visit(name, h, content); err != nil {
			if content.err != nil {
				return budget.fault(source, max, "broken tarball: "+content.err.Error())
			}
			return err
		}
	}
	// What follows the last entry counts as well: a gzip checksum that does not match shows only at the end.
	if _, err := io.Copy(io.Discard, budget); err != nil {
		return budget.fault(source, max, "broken tarball: "+err.Error())
	}
	return nil
}

func entryName(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
	case tar.TypeXGlobalHeader:
		return "", nil
	default:
		return "", defectf("entry '%s' is neither file, folder nor link", h.Name)
	}
	if !filepath.IsLocal(h.Name) || strings.ContainsRune(h.Name, 0) {
		return "", defectf("entry '%s' leaves the archive", h.Name)
	}
	return path.Clean(h.Name), nil
}

// readFault tells a failing disk and a cancelled context from a bad archive.
func readFault(source *contextReader, reason string) error {
	if source.err != nil {
		return source.err
	}
	return defectf("%s", reason)
}

// boundedReader fails after so many bytes.
type boundedReader struct {
	r    io.Reader
	left int64
}

var errTooLarge = errors.New("too large")

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

func (b *boundedReader) fault(source *contextReader, max limits, reason string) error {
	if b.left <= 0 {
		return max.tooLarge()
	}
	return readFault(source, reason)
}

// entryReader remembers whether reading the archive, rather than using what was read, failed.
type entryReader struct {
	r   io.Reader
	err error
}

func (e *entryReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && err != io.EOF {
		e.err = err
	}
	return n, err
}

// readAtMost reads a small file of an archive.
func readAtMost(r io.Reader, max int64, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, defectf("'%s' has more than %d MiB", name, max>>20)
	}
	return data, nil
}
