package config

// meant returns ", did you mean x?" for the known name nearest to a mistyped one, after the dashes it
// is written with, or nothing when none is near enough.
func meant(dashes, name string, known []string) string {
	best, limit := "", max(2, len(name)/4)+1
	for _, k := range known {
		if d := distance(name, k); d < limit {
			best, limit = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + dashes + best + "?"
}

// distance is Levenshtein's: the least number of bytes inserted, deleted or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
