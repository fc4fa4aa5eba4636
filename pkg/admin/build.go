package admin

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build says what binary this is.
type Build struct {
	Version  string `json:"version"`            // module version, "devel" for a build from a work tree without one
	Revision string `json:"revision,omitempty"` // commit, with "+changes" if the tree was not clean
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Go       string `json:"go"`                 // toolchain
	Platform string `json:"platform"`           // linux/amd64
}

// ReadBuild returns what the toolchain wrote into the binary.
func ReadBuild() Build {
	b := Build{Version: "devel", Go: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.Revision, b.Time = settings["vcs.revision"], settings["vcs.time"]
	if settings["vcs.modified"] == "true" && b.Revision != "" {
		b.Revision += "+changes"
	}
	b.Platform = settings["GOOS"] + "/" + settings["GOARCH"]
	return b
}

// RegisterProcess registers the metrics of the process as a whole: the Go runtime, the process as the
// kernel sees it, eshop_build_info, and eshop_ready unless ready is nil. Call it once for each registry.
func RegisterProcess(reg prometheus.Registerer, build Build, role string, ready func() bool) error {
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "eshop_build_info",
		Help:        "Always 1; the labels say what binary this is and what it runs as.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go, "role": role},
	}, func() float64 { return 1 })
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "eshop_ready",
		Help: "1 while every condition for taking traffic holds, else 0.",
	}, func() float64 {
		if !ready() {
			return 0
		}
		return 1
	})
	var problems []error
	all := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info,
	}
	if ready != nil {
		all = append(all, up)
	}
	for _, c := range all {
		problems = append(problems, reg.Register(c))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("register the process metrics: %w", err)
	}
	return nil
}
