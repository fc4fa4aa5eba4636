package config_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"eshop/pkg/config"

	"github.com/google/go-cmp/cmp"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "256MiB": 256 << 20, "256 mib": 256 << 20, "64kB": 64000, "1.5GiB": 3 << 29,
		"2TB": 2e12, "7B": 7, " 1KiB ": 1024, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := config.ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "-1MiB", "9223372036854775808", "8388608TiB", "NaN", "Inf", "1e30", "12XiB", "1,5MiB"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "90d": 90 * 24 * time.Hour, "0.5d": 12 * time.Hour, "1h30m": 90 * time.Minute, "0": 0, "250ms": 250 * time.Millisecond,
	} {
		if got, err := config.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "30", "-1s", "-1d", "NaNd", "1e9d", "110000d", "soon"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Minute: "1h30m", time.Hour: "1h", 48 * time.Hour: "2d",
		25 * time.Hour: "25h", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 250 * time.Millisecond: "250ms", 20 * time.Hour: "20h",
	} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1 << 20: "1MiB", 256 << 20: "256MiB", 1536: "1536B", 3 << 30: "3GiB"} {
		if got := config.FormatBytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestParseDurationRange(t *testing.T) {
	for text, want := range map[string]config.DurationRange{
		"600s-1200s": {10 * time.Minute, 20 * time.Minute}, "600s–1200s": {10 * time.Minute, 20 * time.Minute}, "5m": {5 * time.Minute, 5 * time.Minute}, "1d - 2d": {24 * time.Hour, 48 * time.Hour},
	} {
		if got, err := config.ParseDurationRange(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "1s-", "-1s", "20s-10s", "1s-2s-3s", "1-2"} {
		if got, err := config.ParseDurationRange(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestParseAddrs(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, " ": nil, "a:1": {"a:1"}, "a:1, b:2 ,[::1]:3": {"a:1", "b:2", "[::1]:3"},
	} {
		if got, err := config.ParseAddrs(text); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"a", "a:", ":1", "a:0", "a:65536", "a:x", "a:1,", ",", "a:1,a:1", "redis://a:1", "::1:3", "u@a:1"} {
		if got, err := config.ParseAddrs(text); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
	if _, err := config.ParseAddrs("redis://a:1"); err == nil || !strings.Contains(err.Error(), `write "a:1" without "redis://"`) {
		t.Errorf("an address as eshop all prints it: %v, want to be told what to leave out", err)
	}
}

func TestParseListenAndURL(t *testing.T) {
	for _, text := range []string{":8080", "127.0.0.1:0", "[::1]:80", "localhost:65535"} {
		if got, err := config.ParseListen(text); err != nil || got != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "8080", ":", ":x", ":70000", ":-1", "http://a:1"} {
		if got, err := config.ParseListen(text); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
	for text, want := range map[string]string{"": "", "http://a": "http://a", "https://a:1/x/": "https://a:1/x", "http://u:p@a/": "http://u:p@a"} {
		if got, err := config.ParseURL(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"a", "a:80", "ftp://a", "http://", "http://a?x=1", "http://a#x", "http://:80", "http://%zz"} {
		if got, err := config.ParseURL(text); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}

// FuzzRoundTrip: whatever a parser accepts, its formatter writes so that the parser reads the same.
func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{"256MiB", "1.5GiB", "90d", "1h30m", "600s-1200s", "a:1,b:2", "0.3d", "1ns-2562047h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := config.ParseBytes(text); err == nil {
			if again, err := config.ParseBytes(config.FormatBytes(n)); err != nil || again != n || n < 0 {
				t.Errorf("bytes %q: %d became %d, %v", text, n, again, err)
			}
		}
		if d, err := config.ParseDuration(text); err == nil {
			if again, err := config.ParseDuration(config.FormatDuration(d)); err != nil || again != d || d < 0 {
				t.Errorf("duration %q: %s became %s, %v", text, d, again, err)
			}
		}
		if r, err := config.ParseDurationRange(text); err == nil {
			if again, err := config.ParseDurationRange(r.String()); err != nil || again != r || r.Min > r.Max {
				t.Errorf("range %q: %v became %v, %v", text, r, again, err)
			}
		}
		if addrs, err := config.ParseAddrs(text); err == nil {
			for _, a := range addrs {
				if _, err := config.ParseAddrs(a); err != nil {
					t.Errorf("addresses %q: %q alone: %v", text, a, err)
				}
			}
		}
	})
}
