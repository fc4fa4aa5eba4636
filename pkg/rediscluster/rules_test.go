package rediscluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

const (
	put    = rediscluster.Put
	tomb   = rediscluster.Tombstone
	force  = rediscluster.Force
	ftomb  = rediscluster.ForceTombstone
	exact  = 1 << 53
	most   = 1<<63 - 1
	before = catalog.Absent
	live   = catalog.Live
	grave  = catalog.Tombstone
)

// step is one write and what must come of it.
type step struct {
	op       rediscluster.Op
	version  int64
	token    int64
	field    string
	body     string
	accepted bool
	stored   catalog.Stamp
	previous catalog.State
	changed  bool
}

func stamp(e, v, t int64) catalog.Stamp { return catalog.Stamp{Epoch: e, Version: v, Token: t} }

// The rules of the compare-and-set (invariant 1), one scenario each.
func TestRules(t *testing.T) {
	scenarios := []struct {
		name  string
		steps []step
	}{
		{"the first write fills", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false}}},
		{"a higher version wins whatever its token", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{put, 6, 3, "m", "b", true, stamp(0, 6, 3), live, true}}},
		{"a lower version is refused whatever its token", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{put, 4, 99, "m", "b", false, stamp(0, 5, 9), live, false}}},
		{"of one version the higher token wins", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{put, 5, 8, "m", "b", false, stamp(0, 5, 9), live, false},
			{put, 5, 10, "m", "b", true, stamp(0, 5, 10), live, true}}},
		{"the same bytes again are no change", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{put, 5, 10, "m", "a", true, stamp(0, 5, 10), live, false}}},
		{"the same stamp again is refused", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{put, 5, 9, "m", "a", false, stamp(0, 5, 9), live, false},
			{put, 5, 9, "m", "b", false, stamp(0, 5, 9), live, false}}},
		{"without a version the token decides", []step{
			{put, 0, 9, "", "a", true, stamp(0, 0, 9), before, false},
			{put, 0, 8, "", "b", false, stamp(0, 0, 9), live, false},
			{put, 0, 10, "", "b", true, stamp(0, 0, 10), live, true}}},
		{"another version field: the token decides and becomes the epoch", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{put, 7000, 9, "u", "b", false, stamp(0, 5, 9), live, false},
			{put, 1, 10, "u", "b", true, stamp(10, 1, 10), live, true},
			{put, 2, 10, "u", "c", false, stamp(10, 1, 10), live, false},
			{put, 2, 11, "u", "c", true, stamp(10, 2, 11), live, true},
			{put, 9, 12, "", "d", true, stamp(12, 9, 12), live, true}}},
		{"a tombstone keeps version and field", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{tomb, 77, 9, "x", "", false, stamp(0, 5, 9), live, false},
			{tomb, 77, 10, "x", "", true, stamp(0, 5, 10), live, true},
			{tomb, 0, 11, "", "", true, stamp(0, 5, 11), grave, false},
			{put, 5, 11, "m", "a", false, stamp(0, 5, 11), grave, false},
			{put, 5, 12, "m", "a", true, stamp(0, 5, 12), grave, true}}},
		{"a tombstone over nothing", []step{
			{tomb, 0, 7, "", "", true, stamp(0, 0, 7), before, false},
			{put, 0, 6, "", "a", false, stamp(0, 0, 7), grave, false}}},
		{"force goes back and bars what was pulled before", []step{
			{put, 50, 9, "m", "a", true, stamp(0, 50, 9), before, false},
			{force, 3, 9, "m", "b", false, stamp(0, 50, 9), live, false},
			{force, 3, 20, "m", "b", true, stamp(20, 3, 20), live, true},
			{put, 60, 20, "m", "c", false, stamp(20, 3, 20), live, false},
			{put, 60, 19, "m", "c", false, stamp(20, 3, 20), live, false},
			{put, 4, 21, "m", "d", true, stamp(20, 4, 21), live, true},
			{put, 3, 99, "m", "e", false, stamp(20, 4, 21), live, false}}},
		{"a deleted document stays deleted for those who pulled before", []step{
			{put, 5, 9, "m", "a", true, stamp(0, 5, 9), before, false},
			{tomb, 0, 20, "", "", true, stamp(0, 5, 20), live, true},
			{put, 99, 19, "m", "b", false, stamp(0, 5, 20), grave, false},
			{put, 99, 21, "m", "b", true, stamp(0, 99, 21), grave, true}}},
		{"a tombstone is above a version that Redis lost", []step{
			{put, 50, 9, "m", "a", true, stamp(0, 50, 9), before, false},
			{tomb, 100, 20, "", "", true, stamp(0, 100, 20), live, true}}},
		{"a forced tombstone", []step{
			{put, 50, 9, "m", "a", true, stamp(0, 50, 9), before, false},
			{ftomb, 0, 9, "", "", false, stamp(0, 50, 9), live, false},
			{ftomb, 0, 20, "", "", true, stamp(20, 50, 20), live, true},
			{tomb, 0, 20, "", "", false, stamp(20, 50, 20), grave, false},
			{put, 60, 20, "m", "a", false, stamp(20, 50, 20), grave, false},
			{put, 60, 21, "m", "a", true, stamp(20, 60, 21), grave, true}}},
		{"force over nothing", []step{
			{force, 3, 20, "m", "a", true, stamp(20, 3, 20), before, false}}},
		{"64 bits: beyond what a double can tell apart", []step{
			{put, 5, exact + 2, "m", "a", true, stamp(0, 5, exact+2), before, false},
			{put, 5, exact + 1, "m", "b", false, stamp(0, 5, exact+2), live, false},
			{put, 5, exact + 3, "m", "b", true, stamp(0, 5, exact+3), live, true},
			{put, most - 1, 1, "m", "c", true, stamp(0, most-1, 1), live, true},
			{put, most, 1, "m", "d", true, stamp(0, most, 1), live, true},
			{put, most, most - 1, "m", "e", true, stamp(0, most, most-1), live, true},
			{put, most, most - 2, "m", "f", false, stamp(0, most, most-1), live, false},
			{force, 0, most, "m", "g", true, stamp(most, 0, most), live, true},
			{put, most, most, "m", "h", false, stamp(most, 0, most), live, false}}},
		{"decimal texts of different lengths", []step{
			{put, 9, 1, "m", "a", true, stamp(0, 9, 1), before, false},
			{put, 10, 1, "m", "b", true, stamp(0, 10, 1), live, true},
			{put, 9, 1, "m", "c", false, stamp(0, 10, 1), live, false}}},
	}
	onBoth(t, func(t *testing.T, addrs []string) {
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		for i, sc := range scenarios {
			t.Run(sc.name, func(t *testing.T) {
				for n, st := range sc.steps {
					d := doc(int64(i+1), st.version, st.token, st.body)
					d.Field = st.field
					before := get(t, s, d.Key, rediscluster.FromMaster)
					got := write(t, s, st.op, d)
					want := rediscluster.Outcome{Accepted: st.accepted, Stored: st.stored, Previous: st.previous, Changed: st.changed}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("step %d, outcome (-want +got):\n%s", n+1, diff)
					}
					after := get(t, s, d.Key, rediscluster.FromMaster)
					if after.Stamp != st.stored || after.Stamp.Less(before.Stamp) {
						t.Errorf("step %d: the stamp went from %v to %v, want %v", n+1, before.Stamp, after.Stamp, st.stored)
					}
					if !st.accepted {
						if diff := cmp.Diff(before, after); diff != "" {
							t.Errorf("step %d was refused and changed (-before +after):\n%s", n+1, diff)
						}
						continue
					}
					if st.op == put || st.op == force {
						if after.State != live || string(after.Body) != st.body || after.Field != st.field {
							t.Errorf("step %d: got %v %q field %q, want live %q field %q", n+1, after.State, after.Body, after.Field, st.body, st.field)
						}
					} else if after.State != grave || after.Body != nil {
						t.Errorf("step %d: got %v %q, want a tombstone", n+1, after.State, after.Body)
					}
				}
			})
		}
	})
}
