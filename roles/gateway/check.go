package gateway

import (
	"errors"
	"fmt"
	"log/slog"

	"eshop/pkg/catalog"
)

// CheckTemplates reads every template file of cfg and of the page types once and
// says which cannot be used: one error for each, joined. It keeps nothing; a role
// reads the files again when it starts.
func CheckTemplates(cfg Config, cat *catalog.Catalog) error {
	v, err := newViews(cat, cfg.Template, slog.New(slog.DiscardHandler), func(bool) {})
	if err != nil {
		return err
	}
	var problems []error
	common := false // a file that cannot be read is wrong for every page alike
	for i, page := range cat.Pages() {
		if v.files[i] == "" {
			continue
		}
		err := v.reload(i)
		switch {
		case err == nil:
		case page.Template != "":
			problems = append(problems, fmt.Errorf("page %q: %w", page.Name, err))
		case !common:
			common = true
			problems = append(problems, fmt.Errorf("--gateway.template: page %q: %w", page.Name, err))
		}
	}
	return errors.Join(problems...)
}
