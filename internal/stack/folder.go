package stack

import (
	"os"
	"path/filepath"
)

// Folder is where one stack keeps everything.
type Folder string

// DefaultFolder is $HOLDFAST_STATE, or a place for system state.
func DefaultFolder() Folder {
	if dir := os.Getenv("HOLDFAST_STATE"); dir != "" {
		return Folder(dir)
	}
	return "/var/lib/holdfast"
}

func (f Folder) path(elem ...string) string {
	return filepath.Join(append([]string{string(f)}, elem...)...)
}

// AccessFile tells clients how to reach the broker: JSON, mode 0600.
func (f Folder) AccessFile() string { return f.path("client.json") }

// DirectorDir is the local director's own folder.
func (f Folder) DirectorDir() string { return f.path("director") }

// DirectorCA is the certificate authority of the local director's API.
func (f Folder) DirectorCA() string { return f.path("director", "tls", "ca.pem") }

// LogDir holds the parts' logs.
func (f Folder) LogDir() string { return f.path("log") }

// LogFile is where a part's log goes.
func (f Folder) LogFile(part string) string { return f.path("log", part+".log") }

// templatesDir is the operator's folder of templates, here with defaults only.
func (f Folder) templatesDir() string { return f.path("templates") }

func (f Folder) settingsFile() string           { return f.path("settings.json") }
func (f Folder) configFile(part string) string  { return f.path("config", part+".yml") }
func (f Folder) processFile(part string) string { return f.path("run", part+".json") }
