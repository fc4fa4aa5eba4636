package roles

import (
	"context"
	"fmt"
	"io"
	"strings"

	"eshop/pkg/config"
	"eshop/pkg/monitoring"
)

func monitoringCommand() command {
	return command{
		name:  "monitoring",
		short: "Print alert rules for Prometheus, or a dashboard for Grafana",
		long: `Prints what watches a fleet, from the metrics that each role shows on its admin listener under
/metrics: "alerts" is a rule file for Prometheus, "dashboard" a dashboard for Grafana. What each alert
means and what to do is in its annotations and in the README.`,
		examples: []string{
			"rules for Prometheus; then have it load them again\neshop monitoring alerts >/etc/prometheus/rules/eshop.yaml",
			"a dashboard; in Grafana: Dashboards, New, Import\neshop monitoring dashboard >eshop.json",
		},
		words: "alerts|dashboard",
		prepare: func(_ *settings, _ config.Loaded, words []string, problems *config.Problems) run {
			if len(words) != 1 || words[0] != "alerts" && words[0] != "dashboard" {
				*problems = append(*problems, config.Problem{Setting: strings.Join(words, " "), Constraint: `one word says what to print: "alerts" or "dashboard"`})
				return nil
			}
			return func(_ context.Context, p process) error { return printMonitoring(p.stdout, words[0]) }
		},
	}
}

func printMonitoring(w io.Writer, what string) error {
	text, err := monitoring.RuleFile(), error(nil)
	if what == "dashboard" {
		if text, err = monitoring.Dashboard(); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print the %s: %w", what, err)
	}
	return nil
}
