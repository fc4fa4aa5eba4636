package lru_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tracesVariable names a directory of recorded traces, NAME.txt.gz with one
// number a line. They are not part of the project.
const tracesVariable = "ESHOP_TRACES"

// workload is a trace and the capacities to try.
type workload struct {
	name       string
	trace      []int
	capacities []int
}

// recorded reads the traces of the directory that the environment names.
func recorded(tb testing.TB) (all []workload) {
	dir := os.Getenv(tracesVariable)
	if dir == "" {
		tb.Logf("%s names no directory: only synthetic traces are played", tracesVariable)
		return nil
	}
	for _, w := range []workload{
		{name: "web12", capacities: []int{137, 687, 1375, 3439}},
		{name: "oltp", capacities: []int{1868, 9344, 18688, 46720}},
		{name: "multi3", capacities: []int{74, 372, 745, 1863}},
		{name: "loop", capacities: []int{101, 252}},
	} {
		var err error
		if w.trace, err = readTrace(filepath.Join(dir, w.name+".txt.gz")); err != nil {
			tb.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

func readTrace(path string) (trace []int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		k, err := strconv.Atoi(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		trace = append(trace, k)
	}
	return trace, lines.Err()
}

// BenchmarkHitRatio prints a table: what share of a trace's uses each cache hits,
// and what is possible (Belady). It has no use for b.N.
//
//	ESHOP_TRACES=directory go test ./pkg/lru -run '^$' -bench HitRatio -benchtime 1x
func BenchmarkHitRatio(b *testing.B) {
	hitRatioTable(b, "recorded", recorded(b))
	hitRatioTable(b, "synthetic", synthetic(200_000))
}

func hitRatioTable(b *testing.B, name string, all []workload) {
	if len(all) == 0 {
		return
	}
	var table strings.Builder
	table.WriteString("| trace | capacity |")
	for _, r := range rivals() {
		fmt.Fprintf(&table, " %s |", r.name)
	}
	table.WriteString(" Belady |\n")
	sums, rows := make([]float64, len(rivals())+1), 0.0
	for _, w := range all {
		for _, entries := range w.capacities {
			fmt.Fprintf(&table, "| %s | %d |", w.name, entries)
			for i, r := range rivals() {
				got := hitRatio(r.open(entries), w.trace)
				sums[i] += got
				fmt.Fprintf(&table, " %.2f |", got)
			}
			best := belady(entries, w.trace)
			sums[len(sums)-1] += best
			rows++
			fmt.Fprintf(&table, " %.2f |\n", best)
		}
	}
	table.WriteString("| mean | |")
	for _, sum := range sums {
		fmt.Fprintf(&table, " %.2f |", sum/rows)
	}
	fmt.Printf("Hit ratio in %%, %s traces:\n%s\n\n", name, table.String()) // b.Log cuts it off after ten lines
}
