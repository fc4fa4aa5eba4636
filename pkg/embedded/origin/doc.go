// Package origin is a shop's own product and shop services, as a sample: 1,000
// products and 50 shops with invented, always equal data. It speaks what the
// services of the replaced system speak, and every document can be edited.
//
//	GET    /getProductInfo?productId=7         the document, 404 if there is none
//	GET    /getProductInfos?productIds=1,2,3   an array of those that exist
//	GET    /getShopInfo?shopId=3
//	GET    /products/7  /shops/3               the same documents, not counted as pulls
//	PUT    /products/7  /shops/3               sets the given fields; null takes a field away
//	DELETE /products/7  /shops/3
//	GET    /products?from=1&n=20  /shops?…     an array of documents, by id
//	GET    /pictures/7-1.svg                   a drawn picture
//	GET    /                                   a page to look at and to edit
//
// An edit is visible first and published second, so whoever hears of it and
// reads sees it. PUT and DELETE with ?op=force say that the source goes back on
// purpose: then PUT takes the given modifiedTime as it is.
//
//	server.go     Start, Addr, Close
//	routes.go     paths and protection against other sites
//	pull.go       what the shop's readers ask
//	edit.go       PUT and DELETE
//	page.go       the index page and its lists
//	store.go      documents: the invented ones and the edits over them
//	modified.go   the modifiedTime of an edit
//	document.go   JSON objects whose fields keep their order
//	persist.go    edits in the data directory
//	count.go      pull counters and fault knobs, for tests
//	product.go shop.go picture.go   the invented data
package origin
