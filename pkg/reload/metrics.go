package reload

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics, as Prometheus shows its own: a process that was never told to reload counts as reloaded at its start.
//
//	eshop_config_last_reload_successful                  1, or 0 when the last reload changed nothing because of a problem
//	eshop_config_last_reload_success_timestamp_seconds   of the last one that was good
//	eshop_config_restart_needed                          settings that wait for a restart
//	eshop_config_info{hash}                              1; the hash names what is in effect
type collector struct {
	r       *Reloader
	started time.Time

	successful, at, waiting, info *prometheus.Desc
}

func (r *Reloader) register(registry prometheus.Registerer, now time.Time) error {
	if registry == nil {
		return nil
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("eshop_config_"+name, help, labels, nil)
	}
	err := registry.Register(&collector{r: r, started: now,
		successful: desc("last_reload_successful", "1 if the last reload of the settings was good, 0 if it changed nothing because something is wrong."),
		at:         desc("last_reload_success_timestamp_seconds", "When the settings were last reloaded well, or the process started."),
		waiting:    desc("restart_needed", "Settings that have changed since the start, as the last good reload found, and wait for a restart."),
		info:       desc("info", "Always 1; the hash names the settings in effect, so that processes with others can be told.", "hash"),
	})
	if err != nil {
		return fmt.Errorf("register the metrics of reloads: %w", err)
	}
	return nil
}

func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.successful, c.at, c.waiting, c.info} {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.r.mu.Lock()
	last, good, hash := c.r.last, c.r.good, c.r.hash
	c.r.mu.Unlock()
	successful, at, waiting := 1.0, c.started, 0
	if last != nil && !last.OK {
		successful = 0
	}
	if good != nil {
		at, waiting = good.At, len(good.Restart)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.successful, successful)
	gauge(c.at, float64(at.UnixMilli())/1000)
	gauge(c.waiting, float64(waiting))
	gauge(c.info, 1, hash)
}
