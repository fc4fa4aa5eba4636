// Command eshop serves the product pages of a shop and keeps them fresh.
package main

import (
	"context"
	"eshop/roles"
	"os"
)

func main() { os.Exit(roles.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
