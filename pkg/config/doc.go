// Package config reads the settings of a command from four places.
//
// The flags are the schema: their names, types, defaults and constraints are defined once, in a Set.
// What the command line leaves open is filled from the environment, then from a YAML file, then from
// the defaults:
//
//	--gateway.addr :80                  flag
//	ESHOP_GATEWAY_ADDR=:80              environment; an empty variable counts as unset
//	gateway: {addr: ":80"}              file, nested
//	gateway.addr: ":80"                 file, dotted
//
// A file serves every command: keys that belong to another command are left alone, keys that belong to
// none are problems. Two sections of the file are no flags: kinds and pages, which add to the built-in
// kinds of documents and page types, or change those of the same name field by field.
//
// Nothing stops at the first mistake. Whatever is wrong, in whichever place, is collected as Problems
// and reported together: the setting, the value, where it came from and what it must be.
package config
