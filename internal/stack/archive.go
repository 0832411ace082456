package stack

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxManifest bounds a stemcell.MF or release.MF, bytes.
const maxManifest = 4 << 20

// archiveMember reads one small file out of a gzipped tarball.
func archiveMember(path, member string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	entries := tar.NewReader(unzipped)
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("no such file in the tarball")
		}
		if err != nil {
			return nil, err
		}
		// "./release.MF" and "release.MF" both occur.
		if strings.TrimPrefix(entry.Name, "./") == member {
			if entry.Size > maxManifest {
				return nil, fmt.Errorf("larger than %d bytes", maxManifest)
			}
			return io.ReadAll(entries)
		}
	}
}
