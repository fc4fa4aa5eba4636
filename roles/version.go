package roles

import (
	"context"
	"fmt"
	"io"

	"eshop/pkg/admin"
	"eshop/pkg/config"
)

func versionCommand() command {
	return command{
		name:     "version",
		short:    "Print what binary this is",
		long:     "Prints the version, the commit it was built from, the toolchain and the platform.",
		examples: []string{"which commit runs here?\neshop version"},
		prepare: func(*settings, config.Loaded, []string, *config.Problems) run {
			return func(_ context.Context, p process) error { return printVersion(p.stdout, admin.ReadBuild()) }
		},
	}
}

func printVersion(w io.Writer, b admin.Build) error {
	revision := b.Revision
	if revision == "" {
		revision = "unknown"
	}
	_, err := fmt.Fprintf(w, "eshop %s\ncommit %s\ngo %s\nplatform %s\n", b.Version, revision, b.Go, b.Platform)
	if err != nil {
		return fmt.Errorf("print the version: %w", err)
	}
	return nil
}
