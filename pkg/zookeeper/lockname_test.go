package zookeeper

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	guid := strings.Repeat("0f", guidLength/2)
	for _, test := range []struct {
		node     string
		ok       bool
		name     string
		sequence int32
	}{
		{"a-" + guid + "-0000000007", true, "a", 7},
		{"a-b-" + guid + "-0000000007", true, "a-b", 7},
		{"-" + guid + "-0000000007", true, "", 7},
		{"a--" + guid + "--2147483648", true, "a-", -2147483648},
		{"a-" + guid + "-2147483647", true, "a", 2147483647},
		{"a-" + guid + "-2147483648", false, "", 0},
		{"a-" + guid[1:] + "-0000000007", false, "", 0},
		{"a-" + strings.Repeat("g", guidLength) + "-0000000007", false, "", 0},
		{"a" + guid + "-0000000007", false, "", 0},
		{guid + "-0000000007", false, "", 0},
		{"a-" + guid + "-", false, "", 0},
		{"a-" + guid + "-x", false, "", 0},
		{"", false, "", 0},
		{"-", false, "", 0},
		{"--", false, "", 0},
	} {
		got, ok := parsePlace(test.node)
		if ok != test.ok || ok && (got.name != test.name || got.sequence != test.sequence || got.guid != guid || got.node != test.node) {
			t.Errorf("parsePlace(%q): got %+v, %v", test.node, got, ok)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	f.Add("product-7", int32(7))
	f.Add("../a%b-", int32(-1))
	f.Fuzz(func(t *testing.T, name string, sequence int32) {
		guid := newGUID()
		node := placePrefix(name, guid) + fmt.Sprintf("%010d", sequence)
		got, ok := parsePlace(node)
		if !ok || got.name != escapeName(name) || got.guid != guid || got.sequence != sequence {
			t.Errorf("parsePlace(%q): got %+v, %v", node, got, ok)
		}
		if strings.Contains(node, "/") {
			t.Errorf("%q is no name of a node", node)
		}
		parsePlace(name) // whatever others put there
	})
}

// The queue against a plain model, also across the overflow of the sequence.
func TestPredecessorAgainstModel(t *testing.T) {
	for round := range 500 {
		random := rand.New(rand.NewPCG(1, uint64(round)))
		sequence := int32(random.IntN(100))
		if round%2 == 0 {
			sequence = 2147483647 - int32(random.IntN(20))
		}
		names := []string{"a", "a-b", "b"}
		last := map[string]string{} // by name, of those created so far
		want := map[string]string{} // by node, its predecessor
		var nodes []string
		for range random.IntN(30) {
			name := names[random.IntN(len(names))]
			node := placePrefix(name, newGUID()) + fmt.Sprintf("%010d", sequence)
			sequence += 1 + int32(random.IntN(3))
			want[node], last[name] = last[name], node
			nodes = append(nodes, node)
		}
		shuffled := append([]string{"stray", "a-1"}, nodes...)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, node := range nodes {
			own, ok := parsePlace(node)
			if !ok {
				t.Fatalf("parsePlace(%q) fails", node)
			}
			got, exists, listed := predecessor(shuffled, own)
			if !listed || exists != (want[node] != "") || got.node != want[node] {
				t.Fatalf("predecessor of %s in %v: got %q, %v, %v; want %q", node, nodes, got.node, exists, listed, want[node])
			}
			if found := withGUID(shuffled, own.guid); len(found) != 1 || found[0] != own {
				t.Fatalf("withGUID: got %v, want %v", found, own)
			}
		}
		if len(nodes) > 0 {
			own, _ := parsePlace(nodes[0])
			own.node = "gone"
			if _, _, listed := predecessor(shuffled, own); listed {
				t.Fatal("a node that is gone is listed")
			}
		}
	}
}
