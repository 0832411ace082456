// Package templates holds the deployment templates that Holdfast ships. An
// operator's directory overlays them; package deployer/template reads both.
package templates

import (
	"embed"
	"io/fs"
)

//go:embed consul postgresql
var shipped embed.FS

// Shipped are the templates, a directory each.
func Shipped() fs.FS { return shipped }
