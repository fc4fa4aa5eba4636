package fault_test

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// rules are what a history is held against.
type rules struct {
	// fleet: after any gateway has answered with a version, no request that begins this
	// much later is answered with an older one, unless the answer is marked. (a)
	fleet time.Duration
	// gateway: the same for one gateway alone. (b)
	gateway time.Duration
	// origin: no unmarked answer shows a state that the origin had left this long before;
	// 0: only what the fleet has shown counts.
	origin time.Duration
	// calm, if not 0, is when nobody changes anything any more and everybody has had time
	// to hear of it: an unmarked answer to a request from then on shows the last state.
	calm time.Duration
	// fails are the classes of which requests may fail. (e)
	fails classes
}

// verdict is what the checker found.
type verdict struct {
	violations []string // the first of each kind in full
	count      int      // of all violations
	// stalest is the longest time by which an unmarked answer was behind one that the
	// fleet had given, regressed the same for one gateway alone.
	// oldest is the longest time for which the origin had not had what an unmarked answer showed.
	stalest, regressed, oldest time.Duration
	lastStale                  time.Duration   // when the last request began that was answered with a state the origin had left
	requests, failed           [classCount]int // without excused answers
	slowest                    [classCount]time.Duration
	marked, excused            int
}

const mostViolations = 12

func (v *verdict) say(format string, args ...any) {
	if v.count++; len(v.violations) < mostViolations {
		v.violations = append(v.violations, fmt.Sprintf(format, args...))
	}
}

// check judges a history; it changes nothing and knows nothing else.
func check(answers []answer, writes []write, lost int, r rules) verdict {
	var v verdict
	if lost > 0 {
		v.say("the history has no room for %d answers", lost)
	}
	byKey := map[int64][]answer{}
	for _, a := range answers {
		byKey[a.key] = append(byKey[a.key], a)
	}
	written := map[int64][]write{}
	for _, w := range writes {
		written[w.key] = append(written[w.key], w)
	}
	for _, key := range sortedKeys(byKey) {
		v.key(key, byKey[key], written[key], r)
	}
	return v
}

func sortedKeys(m map[int64][]answer) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (v *verdict) key(key int64, answers []answer, writes []write, r rules) {
	slices.SortFunc(writes, func(a, b write) int { return int(a.number - b.number) })
	fleet := newShown(answers, writes)
	var alone [gateways]*shown
	for g := range alone {
		own := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return int(a.gateway) != g })
		alone[g] = newShown(own, writes)
	}
	for _, a := range answers {
		where := fmt.Sprintf("%v product %d at gateway %d, asked at %v and answered at %v", a.class, key, a.gateway, round(a.sent), round(a.received))
		if a.excused {
			v.excused++
			continue
		}
		v.requests[a.class]++
		v.slowest[a.class] = max(v.slowest[a.class], a.received-a.sent)
		if a.marked {
			v.marked++
		}
		number, ok := v.read(a, writes, where)
		switch {
		case a.status == 0 || a.status != 200 && a.status != 404:
			v.failed[a.class]++
			if !r.fails.has(a.class) {
				v.say("%s: failed with status %d", where, a.status)
			}
			continue
		case !ok || a.marked:
			continue
		}
		if late := a.sent - left(writes, number); late > 0 {
			v.oldest, v.lastStale = max(v.oldest, late), max(v.lastStale, a.sent)
			if r.calm > 0 && a.sent > r.calm {
				v.say("%s: shows write %d, %v after it was replaced, in calm", where, number, round(late))
			}
			if r.origin > 0 && late > r.origin {
				v.say("%s: shows write %d, which was replaced %v before, %v is allowed", where, number, round(late), r.origin)
			}
		}
		if late := a.sent - fleet.after(number); late > 0 {
			v.stalest = max(v.stalest, late)
			if late > r.fleet {
				v.say("%s: shows write %d, %v after a newer one was shown, %v is allowed", where, number, round(late), r.fleet)
			}
		}
		if late := a.sent - alone[a.gateway].after(number); late > 0 {
			v.regressed = max(v.regressed, late)
			if late > r.gateway {
				v.say("%s: shows write %d, %v after it showed a newer one itself, %v is allowed", where, number, round(late), r.gateway)
			}
		}
	}
}

// read says which write an answer shows. A 404 does not tell which deletion it is; it is taken for the newest one.
func (v *verdict) read(a answer, writes []write, where string) (number int64, ok bool) {
	switch {
	case a.class == unknown && a.status == 200:
		v.say("%s: a page of a product that never was", where)
	case a.class == unknown, a.status != 200 && a.status != 404:
	case a.status == 404:
		for _, w := range writes {
			if w.gone && w.at <= a.received {
				number, ok = w.number, true
			}
		}
		if !ok {
			v.say("%s: not found, though it was never deleted", where)
		}
	case a.bare:
		v.say("%s: a page without its product", where)
	default:
		for _, w := range writes {
			if w.number == a.shown && w.at > a.received {
				v.say("%s: shows write %d, which was made later", where, a.shown)
			}
			if w.number == a.shown && w.gone {
				v.say("%s: shows write %d, which was a deletion", where, a.shown)
			}
		}
		if a.shown > int64(len(writes)) {
			v.say("%s: shows write %d of %d", where, a.shown, len(writes))
		}
		return a.shown, true
	}
	return number, ok
}

// shown tells when a version newer than a given one was first answered.
type shown struct {
	first []time.Duration // by number: the earliest answer that showed this write or a later one
}

func newShown(answers []answer, writes []write) *shown {
	s := &shown{first: make([]time.Duration, len(writes)+2)}
	for i := range s.first {
		s.first[i] = math.MaxInt64
	}
	gone := int64(0) // the first deletion: a 404 shows that one at least
	for _, w := range writes {
		if w.gone && gone == 0 {
			gone = w.number
		}
	}
	for _, a := range answers {
		n := a.shown
		switch {
		case a.status == 404 && gone > 0:
			n = gone
		case a.status != 200 || a.bare:
			continue
		}
		if n >= 0 && n < int64(len(s.first)) {
			s.first[n] = min(s.first[n], a.received)
		}
	}
	for i := len(s.first) - 2; i >= 0; i-- {
		s.first[i] = min(s.first[i], s.first[i+1])
	}
	return s
}

// after returns when a write later than the given one was first shown.
func (s *shown) after(number int64) time.Duration {
	if number+1 < 0 || number+1 >= int64(len(s.first)) {
		return math.MaxInt64
	}
	return s.first[number+1]
}

// left returns when the write after the given one was made.
func left(writes []write, number int64) time.Duration {
	for _, w := range writes {
		if w.number == number+1 {
			return w.at
		}
	}
	return math.MaxInt64
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
