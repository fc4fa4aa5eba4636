package kafka

import "context"

// watch ends the membership when it makes no progress (25).
func (g *Group) watch(ctx context.Context, restart context.CancelCauseFunc) {
	<-ctx.Done()
}
