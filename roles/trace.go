package roles

import (
	"errors"
	"strings"

	"eshop/pkg/admin"
	"eshop/pkg/config"
	"eshop/pkg/tracing"
)

// traceSettings are those of the roles that requests and changes pass through.
type traceSettings struct {
	endpoint           string
	ratio              float64
	perSecond          int
	headerFile, caFile string
}

func (t *traceSettings) define(set *config.Set) {
	set.Area("Traces")
	set.URL(&t.endpoint, "trace.endpoint", "collector that gets traces by OTLP over HTTP, like http://127.0.0.1:4318; without it there are none")
	set.Number(&t.ratio, "trace.ratio", 0.01, 0, "of pages that are not in memory, batches and changes, how many begin a trace when whoever sent them has not decided it, from 0 to 1")
	set.Whole(&t.perSecond, "trace.per-second", 100, 1, 100_000, "most traces that begin here or are taken over from outside in a second")
	set.Secret(&t.headerFile, "trace.header-file", "file that holds one header for the collector, such as Authorization: Bearer …")
	set.Text(&t.caFile, "trace.tls-ca-file", "file", "", "certificates to trust, PEM; without it the system's")
}

// config maps settings to those of a tracer. The file with the header is read for each batch.
func (t *traceSettings) config(problems *config.Problems) tracing.Config {
	if t.endpoint == "" {
		if t.headerFile != "" {
			problems.Add("trace.header-file", t.headerFile, "is used with --trace.endpoint only")
		}
		if t.caFile != "" {
			problems.Add("trace.tls-ca-file", t.caFile, "is used with --trace.endpoint only")
		}
		return tracing.Config{}
	}
	c := tracing.Config{Endpoint: t.endpoint, Ratio: t.ratio, PerSecond: t.perSecond, Version: admin.ReadBuild().Version}
	if err := c.Validate(); err != nil && !problems.Names("trace.endpoint") && !problems.Names("trace.ratio") {
		var found config.Problems
		found.AddError("", err)
		for _, one := range found {
			flag, constraint, _ := strings.Cut(strings.TrimPrefix(one.Constraint, "--"), " ")
			problems.Add(flag, "", constraint)
		}
	}
	secure := strings.HasPrefix(t.endpoint, "https://")
	if t.caFile != "" && !secure {
		problems.Add("trace.tls-ca-file", t.caFile, "is used with an https --trace.endpoint only")
	} else {
		c.TLS = clientTLS("trace", secure, t.caFile, problems)
	}
	if t.headerFile != "" {
		line := config.RotatedSecret("trace.header-file", t.headerFile, problems)
		first, content, err := headerOf(line())
		if err != nil && !problems.Names("trace.header-file") {
			problems.Add("trace.header-file", t.headerFile, err.Error())
		}
		c.Header = func() (name, value string) {
			if name, value, err := headerOf(line()); err == nil {
				return name, value
			}
			return first, content // a file that was spoilt
		}
	}
	return c
}

// headerOf reads Name: value. Its error holds nothing of the text, which is a secret.
func headerOf(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	if !ok || value == "" || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return "", "", errors.New("must hold one header, like Authorization: Bearer …")
	}
	return name, value, nil
}
