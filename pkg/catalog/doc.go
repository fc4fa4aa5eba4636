// Package catalog holds the vocabulary every other package speaks: what a
// document is, how two copies of it are ordered, how a page is put together
// from documents, and the bytes that travel on the Kafka topics.
//
// It imports the standard library only and does no I/O, so every rule in it
// can be tested by itself.
//
//	stamp.go       Stamp: the order (epoch, version, token) of invariant 1
//	document.go    Key, Document, State and the id rules
//	kind.go        Kind: where a kind of document lives and how it is versioned
//	version.go     the version of a document body
//	page.go        PageType and the merged JSON of a page
//	catalog.go     Catalog: the configured kinds and page types
//	change.go      the message of a change (topic cache-message)
//	invalidation.go  the message that a stored document changed (topic cache-invalidate)
//	canary.go      messages that test the way of changes (eshop doctor)
//	scan.go        reading a few fields of a JSON body without decoding it all
package catalog
