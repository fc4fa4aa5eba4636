package traffic

import (
	"context"
	"time"
)

// maxLate is how far behind its rate a stream may be and still catch up. What it
// could not send in a longer time is left out; it is half the shortest pause, so that
// no burst follows one.
const maxLate = firstPause / 2

// stream sends rate requests a second for the ids that next gives, until phase
// ends; the requests themselves end with ctx. The nth is due n/rate after the
// first, so rounding and late timers do not add up.
func (l *Load) stream(ctx, phase context.Context, rate float64, next func() int64) {
	start, n := time.Now(), 0
	for {
		due := start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if !sleep(phase, time.Until(due)) || !l.pause.wait(phase) {
			return
		}
		select {
		case l.slots <- struct{}{}:
		case <-phase.Done():
			return
		}
		if now := time.Now(); now.Sub(due) > maxLate {
			start, n = now, 0
		}
		n++
		id := next()
		l.requests.Go(func() {
			defer func() { <-l.slots }()
			l.request(ctx, id)
		})
	}
}
