package fault_test

import (
	"strings"
	"testing"
	"time"
)

// TestCheckerFindsViolations feeds the checker a history that keeps the rules, and then one violation of each rule.
func TestCheckerFindsViolations(t *testing.T) {
	const ms = time.Millisecond
	page := func(gateway int8, number int64, sent time.Duration) answer {
		return answer{key: 1, gateway: gateway, shown: number, status: 200, sent: sent, received: sent + ms}
	}
	with := func(a answer, change func(*answer)) answer {
		change(&a)
		return a
	}
	writes := []write{{1, 1, false, 100 * ms}, {1, 2, false, 200 * ms}, {1, 3, true, 2000 * ms}, {1, 4, false, 3000 * ms}, {2, 1, false, 100 * ms}}
	sound := []answer{
		page(0, 0, 0), page(1, 1, 150*ms), page(0, 2, 210*ms),
		page(1, 1, 211*ms+900*ms),                                       // behind, within the bound
		with(page(2, 0, 1900*ms), func(a *answer) { a.marked = true }),  // far behind, and says so
		with(page(2, 0, 1900*ms), func(a *answer) { a.excused = true }), // a gateway that is paused
		with(page(2, 0, 2100*ms), func(a *answer) { a.status = 404 }),   // deleted
		page(0, 4, 3100*ms), // created again
		with(page(0, 0, 3100*ms), func(a *answer) { a.class, a.status = unknown, 404; a.key = 9 }),
		with(page(0, 0, 3100*ms), func(a *answer) { a.class, a.status = cold, 503; a.key = 8 }),
	}
	r := rules{fleet: time.Second, gateway: 500 * ms, origin: 1100 * ms, calm: 4500 * ms, fails: of(cold)}
	v := check(sound, writes, 0, r)
	if v.count != 0 {
		t.Errorf("a sound history: %q", v.violations)
	}
	if v.stalest != 900*ms || v.oldest != 911*ms || v.failed[cold] != 1 || v.marked != 1 || v.excused != 1 || v.requests[popular] != 7 {
		t.Errorf("figures of a sound history: %+v", v)
	}
	for _, tt := range []struct {
		rule  string
		extra answer
		lost  int
		want  string
	}{
		{"a", page(1, 1, 1300*ms), 0, "after a newer one was shown"},
		{"a, deleted", page(1, 2, 3200*ms), 0, "after a newer one was shown"},
		{"a, still missing after it was created again", with(page(1, 0, 4200*ms), func(a *answer) { a.status = 404 }), 0, "after a newer one was shown"},
		{"b", page(0, 1, 800*ms), 0, "after it showed a newer one itself"},
		{"older than the origin allows", with(page(1, 0, 1300*ms), func(a *answer) { a.key = 2 }), 0, "was replaced"},
		{"calm", page(2, 2, 4600*ms), 0, "in calm"},
		{"e, an error", with(page(0, 2, 500*ms), func(a *answer) { a.status = 503 }), 0, "failed with status 503"},
		{"e, no answer", with(page(0, 2, 500*ms), func(a *answer) { a.status = 0 }), 0, "failed with status 0"},
		{"e, missing", with(page(0, 0, 500*ms), func(a *answer) { a.status = 404 }), 0, "never deleted"},
		{"a page of nothing", with(page(0, 0, 500*ms), func(a *answer) { a.class, a.key = unknown, 9 }), 0, "never was"},
		{"an empty page", with(page(0, 0, 500*ms), func(a *answer) { a.bare = true }), 0, "without its product"},
		{"from the future", page(0, 4, 2500*ms), 0, "made later"},
		{"out of nothing", page(0, 7, 4000*ms), 0, "shows write 7 of 4"},
		{"a deletion shown", page(0, 3, 2500*ms), 0, "was a deletion"},
		{"no room", page(0, 4, 4000*ms), 3, "no room"},
	} {
		v := check(append(sound[:len(sound):len(sound)], tt.extra), writes, tt.lost, r)
		if v.count == 0 || !strings.Contains(strings.Join(v.violations, "\n"), tt.want) {
			t.Errorf("rule %s: found %q, want one with %q", tt.rule, v.violations, tt.want)
		}
	}
}
