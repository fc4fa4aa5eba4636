// Package fault holds no code of the product.
package fault
