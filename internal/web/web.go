// Package web holds the page that a person opens in the browser: it asks, shows where every sentence of the answer comes
// from, takes in documents, and says how the machine is doing.
//
//	static/index.html -> app.js -> ask, documents, status   one view each
//	                               api, stream              the only way to the server
//	                               markdown, markers, bytes  pure: tested without a browser (test/)
//
// It is plain ES modules and CSS, embedded as they are: no build step, no framework and no request to another host, so the
// binary works offline and what is read here is what runs. All of it obeys a Content-Security-Policy of scripts and styles
// from files only. Text from documents and models reaches the page as text nodes, never as HTML.
//
// The package knows neither routes nor handlers; server decides where the files appear (index.html at /, all at /static/).
package web

import (
	"embed"
	"io/fs"
)

//go:embed static
var files embed.FS

// FS returns the files of the page, with index.html at its root.
func FS() fs.FS {
	sub, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // "static" is a valid path: it cannot fail
	}
	return sub
}
