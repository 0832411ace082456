// Command create makes a release's tarball out of its folder, blobs included. It is
// what `bosh create-release --force --sha2 --name … --version … --tarball …` does,
// by that command's own packages, without the clouds' libraries that a build of the
// whole bosh CLI takes minutes for.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cloudfoundry/bosh-cli/v7/crypto"
	"github.com/cloudfoundry/bosh-cli/v7/release"
	boshcrypto "github.com/cloudfoundry/bosh-utils/crypto"
	"github.com/cloudfoundry/bosh-utils/fileutil"
	boshlog "github.com/cloudfoundry/bosh-utils/logger"
	boshsys "github.com/cloudfoundry/bosh-utils/system"
)

func main() {
	dir := flag.String("dir", "", "the release's folder")
	name := flag.String("name", "", "the release's name")
	version := flag.String("version", "", "the release's version")
	tarball := flag.String("tarball", "", "the file to write; one that exists is replaced")
	flag.Parse()
	if err := create(*dir, *name, *version, *tarball); err != nil {
		fmt.Fprintln(os.Stderr, "create release:", err)
		os.Exit(1)
	}
}

func create(dir, name, version, tarball string) (err error) {
	if dir == "" || name == "" || version == "" || tarball == "" {
		return errors.New("-dir, -name, -version and -tarball are all needed")
	}
	if _, err := os.Stat(filepath.Join(dir, "jobs")); err != nil {
		return fmt.Errorf("%s is no release's folder: %w", dir, err)
	}
	archives, err := os.MkdirTemp(filepath.Dir(tarball), "archives-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(archives)) }()

	log := boshlog.NewLogger(boshlog.LevelError)
	files := boshsys.NewOsFileSystem(log)
	run := boshsys.NewExecCmdRunner(log)
	digests := crypto.NewDigestCalculator(files, []boshcrypto.Algorithm{boshcrypto.DigestAlgorithmSHA256})
	provider := release.NewProvider(run, fileutil.NewTarballCompressor(run, files), digests, files, log)

	found, err := provider.NewDirReader(dir).Read(dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	found.SetName(name)
	found.SetVersion(version)
	found.SetCommitHash("non-git") // as the CLI says of a folder that is no repository
	built := release.ArchiveIndicies{
		Jobs: index{files, archives, "job"}, Packages: index{files, archives, "package"}, Licenses: index{files, archives, "license"},
	}
	if err := found.Build(built, built, 1); err != nil {
		return fmt.Errorf("build jobs and packages: %w", err)
	}
	written, err := provider.NewArchiveWriter().Write(found, nil)
	if err != nil {
		return fmt.Errorf("write the tarball: %w", err)
	}
	return fileutil.NewFileMover(files).Move(written, tarball)
}

// index keeps the archives of one kind until the tarball is written. It knows of
// none that were built before.
type index struct {
	files     boshsys.FileSystem
	dir, kind string
}

// Find implements resource.ArchiveIndex.
func (index) Find(string, string) (path, digest string, err error) { return "", "", nil }

// Add implements resource.ArchiveIndex: it copies the archive, which whoever built
// it removes.
func (i index) Add(name, fingerprint, path, digest string) (string, string, error) {
	kept := filepath.Join(i.dir, i.kind+"-"+name+"-"+fingerprint+".tgz")
	return kept, digest, i.files.CopyFile(path, kept)
}
