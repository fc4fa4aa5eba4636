package catalog_test

import (
	"errors"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

func TestInvalidationRoundTrip(t *testing.T) {
	for _, want := range []catalog.Invalidation{
		{Key: catalog.Key{Kind: "product", ID: 7}, Stamp: catalog.Stamp{Epoch: 1, Version: 1<<53 + 1, Token: 1<<63 - 1}, State: "live", Changed: 5, Sent: 6},
		{Key: catalog.Key{Kind: "shop", ID: 1<<63 - 1}, State: "tombstone", Sent: 1},
		{Heartbeat: "cache-1", Sent: 1767323045000},
	} {
		got, err := catalog.ParseInvalidation(want.Encode())
		if got != want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", want.Encode(), got, err, want)
		}
		if !got.SentTime().Equal(time.UnixMilli(want.Sent)) {
			t.Errorf("sent at %v, want %v", got.SentTime(), time.UnixMilli(want.Sent))
		}
	}
	if got, want := string(catalog.Invalidation{Heartbeat: "a", Sent: 1}.Encode()), `{"heartbeat":"a","sent":1}`; got != want {
		t.Errorf("a heartbeat is %s, want %s", got, want)
	}
}

func TestParseInvalidationRefuses(t *testing.T) {
	for name, message := range map[string]string{
		"nothing": ``, "no JSON": `x`, "null": `null`, "empty": `{}`, "an array": `[]`, "two values": `{"heartbeat":"a"}{}`,
		"no id": `{"key":{"kind":"product"}}`, "id 0": `{"key":{"kind":"product","id":0}}`, "negative id": `{"key":{"kind":"product","id":-1}}`,
		"no kind": `{"key":{"id":1}}`, "id as text": `{"key":{"kind":"product","id":"1"}}`, "id too high": `{"key":{"kind":"product","id":9223372036854775808}}`,
		"negative epoch": `{"key":{"kind":"p","id":1},"stamp":{"epoch":-1}}`, "negative version": `{"key":{"kind":"p","id":1},"stamp":{"version":-1}}`,
		"negative token": `{"key":{"kind":"p","id":1},"stamp":{"token":-1}}`, "float token": `{"key":{"kind":"p","id":1},"stamp":{"token":1.5}}`,
	} {
		if got, err := catalog.ParseInvalidation([]byte(message)); !errors.Is(err, catalog.ErrBadInvalidation) {
			t.Errorf("%s: got %+v, %v, want ErrBadInvalidation", name, got, err)
		}
	}
}

func FuzzParseInvalidation(f *testing.F) {
	f.Add([]byte(`{"key":{"kind":"product","id":7},"stamp":{"epoch":0,"version":1,"token":2},"state":"live","sent":3}`))
	f.Add([]byte(`{"heartbeat":"cache-1","sent":1}`))
	f.Add([]byte(`{"key":{"kind":"\ud800","id":1}}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := catalog.ParseInvalidation(message)
		if err != nil {
			return
		}
		if got.Heartbeat == "" && (got.Key.Kind == "" || got.Key.ID <= 0 || got.Stamp.Epoch < 0 || got.Stamp.Version < 0 || got.Stamp.Token < 0) {
			t.Fatalf("%s: got %+v", message, got)
		}
		if back, err := catalog.ParseInvalidation(got.Encode()); back != got || err != nil {
			t.Fatalf("%s: got %+v, then %+v, %v", message, got, back, err)
		}
	})
}

func TestSupersedes(t *testing.T) {
	stamp := func(epoch, version, token int64) catalog.Stamp {
		return catalog.Stamp{Epoch: epoch, Version: version, Token: token}
	}
	for _, c := range []struct {
		name      string
		announced catalog.Stamp
		state     string
		copy      catalog.Stamp
		want      bool
	}{
		{"a newer version", stamp(0, 2, 5), "live", stamp(0, 1, 4), true},
		{"the same", stamp(0, 2, 5), "live", stamp(0, 2, 5), false},
		{"an older version, pulled later", stamp(0, 1, 6), "live", stamp(0, 2, 5), false},
		{"a deletion that knows no version", stamp(0, 0, 6), "tombstone", stamp(0, 2, 5), true},
		{"a deletion before the copy was pulled", stamp(0, 0, 4), "tombstone", stamp(0, 2, 5), false},
		{"an epoch that Redis has lost", stamp(0, 2, 6), "live", stamp(3, 1, 3), true},
		{"and a deletion", stamp(0, 0, 6), "tombstone", stamp(3, 1, 3), true},
		{"from before the epoch", stamp(0, 2, 2), "live", stamp(3, 1, 3), false},
		{"a deletion from before it", stamp(0, 2, 2), "tombstone", stamp(3, 1, 3), false},
		{"a new epoch", stamp(6, 1, 6), "live", stamp(3, 2, 5), true},
	} {
		if got := (catalog.Invalidation{Stamp: c.announced, State: c.state}).Supersedes(c.copy); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
