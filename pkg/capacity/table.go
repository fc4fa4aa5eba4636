package capacity

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Table writes outcomes side by side, in Markdown.
func Table(outcomes []Outcome) string {
	var b strings.Builder
	row := func(name string, cell func(*Outcome) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for i := range outcomes {
			fmt.Fprintf(&b, " %s |", cell(&outcomes[i]))
		}
		b.WriteByte('\n')
	}
	row("Zipf exponent", func(o *Outcome) string { return fmt.Sprintf("%.1f", o.Exponent) })
	b.WriteString("| --- |" + strings.Repeat(" --- |", len(outcomes)) + "\n")
	row("hot products; share of the requests", func(o *Outcome) string {
		return number(float64(len(o.Hot.IDs))) + "; " + percent(o.Hot.Share)
	})
	row("answered by the memory of the gateway that got the request", func(o *Outcome) string { return percent(o.Levels.First) })
	row("hop to the owner", func(o *Outcome) string { return percent(o.Levels.Forwarded) })
	row("of what owners are asked, page in memory", func(o *Outcome) string { return percent(o.Levels.Owner) })
	row("page in memory, all together", func(o *Outcome) string { return percent(o.Levels.L1) })
	row("page made anew of documents in memory", func(o *Outcome) string { return percent(o.Levels.Built) })
	row("documents read from Redis a second, for requests + in the background", func(o *Outcome) string {
		return number(o.Levels.Reads) + " + " + number(o.Levels.Refreshes)
	})
	row("of these, Redis has", func(o *Outcome) string { return percent(o.Levels.Found) })
	row("cache role asked a second; answered by its memory", func(o *Outcome) string {
		return number(o.Levels.Calls) + "; " + percent(o.Levels.Heap)
	})
	row("documents pulled from the shop a second", func(o *Outcome) string { return number(o.Levels.Pulls) })
	row("load max/mean, each request at its owner", func(o *Outcome) string { return factor(o.Owners.Answered) })
	row("load max/mean, hot products everywhere (requests to owners alone)", func(o *Outcome) string { return spread(o.Spread) })
	row("a tenth of the gateways lost: products moved; requests moved", func(o *Outcome) string {
		return percent(o.Loss.Moved) + "; " + percent(o.Loss.MovedTraffic)
	})
	row("page in memory before, in the first second, in the end; back after", func(o *Outcome) string { return course(&o.Loss) })
	row("load max/mean then", func(o *Outcome) string { return spread(o.Loss.Spread) })
	row("a gateway more: products moved; requests moved", func(o *Outcome) string {
		return fmt.Sprintf("%.2f %%; %.2f %%", 100*o.Join.Moved, 100*o.Join.MovedTraffic)
	})
	row("page in its memory: fleet before, its first second, in the end; back after", func(o *Outcome) string { return course(&o.Join) })
	row("load max/mean then", func(o *Outcome) string { return spread(o.Join.Spread) })
	row("a product gets half of all requests: hot after; load max/mean until then, afterwards", func(o *Outcome) string {
		return fmt.Sprintf("%v; %s, %s", o.Surge.Found, number(o.Surge.Owner.Answered), factor(o.Surge.Spread.Answered))
	})
	return b.String()
}

func course(c *Change) string {
	return fmt.Sprintf("%s, %s, %s; %v", percent(c.Before), percent(c.First), percent(c.After), c.Back)
}

func spread(b Balance) string { return factor(b.Answered) + " (" + factor(b.Owned) + ")" }

func factor(x float64) string { return fmt.Sprintf("%.2f", x) }

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// number writes three digits that count and a unit: 1,234 is 1.23 k.
func number(x float64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if x >= unit.of {
			return digits(x/unit.of) + unit.name
		}
	}
	return digits(x)
}

func digits(x float64) string {
	if x >= 100 || x == math.Trunc(x) {
		return strconv.FormatFloat(math.Round(x), 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// PlanTable writes plans below each other, in Markdown.
func PlanTable(plans []Plan) string {
	var b strings.Builder
	b.WriteString("| requests/s | products | gateway | cache | Redis masters | Kafka brokers | hotcount | page in memory | hop | Redis reads/s | pulls/s | `--cache.refresh` |\n")
	b.WriteString("|" + strings.Repeat(" --- |", 12) + "\n")
	for _, p := range plans {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %s | %s | %s | %s | %d h |\n", number(p.Rate), number(float64(p.Products)),
			p.Gateways, p.Caches, p.Masters, p.Brokers, p.Hotcounts, percent(p.Levels.L1), percent(p.Levels.Forwarded),
			number(p.Levels.Reads+p.Levels.Refreshes), number(p.Levels.Pulls), int(p.Refresh/time.Hour))
	}
	return b.String()
}
