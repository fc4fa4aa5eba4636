package window

import (
	"math"
	"time"
)

// Rule says which keys are hot. A key gets hot when its count in the window is at
// least Floor and at least Factor times the cold mean, the higher of which is the
// threshold. It cools when its count has been below Cool times the threshold for
// Hold without a break.
//
// A Floor below 1 is 1 and a Cool above 1 is 1; a key without an event in the
// window is below in any case.
type Rule struct {
	Floor  int64         // events in the window
	Factor float64       // times the cold mean
	Cool   float64       // lower threshold as a share of the upper one; 0.5 keeps a key at the threshold from flapping
	Hold   time.Duration // of event time
	Max    int           // hot keys at most; below 1: none
}

// level is the count below which no key gets hot, whatever the cold mean.
func (r Rule) level() int64 { return min(max(r.Floor, 1), MaxCount+1) }

// thresholds returns what a count must reach to get hot, and to stay so.
func (r Rule) thresholds(coldMean float64) (upper, lower float64) {
	upper = math.Max(float64(max(r.Floor, 1)), r.Factor*coldMean)
	return upper, max(min(r.Cool, 1)*upper, 1)
}
