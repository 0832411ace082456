// Package render fills in the ERB templates of jobs as a BOSH director does:
// in Ruby, with p, if_p, link, if_link and spec, the properties limited to
// those that the job declares, and the director's words for what goes wrong.
//
// One Ruby process renders all jobs of all instances of a call. Templates,
// properties and links travel over its standard input, results over its
// standard output; nothing is written to disk.
//
// Templates are code of the release and run with the rights of the director,
// as they do in a BOSH director. What is bounded is time (the context), memory
// and the size of the output.
package render
