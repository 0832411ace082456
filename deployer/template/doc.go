// Package template loads, validates and renders deployment templates.
//
// A template is a directory: template.yml declares it and its attributes,
// manifest.yml is a BOSH manifest with ((placeholders)), ops files change it.
// Directories are looked up in several sources, the later over the earlier, so
// that an operator's files overlay the shipped ones file by file.
//
// Rendering is done by the BOSH CLI's own template engine. An attribute is
// data: it replaces a placeholder's node in the parsed document, and a value
// that looks like a placeholder is refused, since the director would resolve
// it with its own authority. Placeholders that are not declared pass through
// to the director.
//
// The package knows no plan, no tenant and no director.
package template
