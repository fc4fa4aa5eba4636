package membership_test

import (
	"os"
	"testing"

	"eshop/pkg/membership"
)

func TestAddresses(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		given, bound, told string
		loopback           bool
	}{
		{"", "127.0.0.1:8082", "127.0.0.1:8082", true},
		{"", "[::1]:8082", "[::1]:8082", true},
		{"", "localhost:8082", "localhost:8082", true},
		{"", "[::]:8082", name + ":8082", false},
		{"", "0.0.0.0:8082", name + ":8082", false},
		{"", ":8082", name + ":8082", false},
		{"", "192.0.2.7:8082", "192.0.2.7:8082", false},
		{"shop-1:9000", "[::]:8082", "shop-1:9000", false},
	} {
		if got, err := membership.Advertised(tc.given, tc.bound); err != nil || got != tc.told {
			t.Errorf("Advertised(%q, %q): got %q, %v, want %q", tc.given, tc.bound, got, err, tc.told)
		}
		if got := membership.OnLoopback(tc.bound); got != tc.loopback {
			t.Errorf("OnLoopback(%q): got %v, want %v", tc.bound, got, tc.loopback)
		}
	}
	if _, err := membership.Advertised("", "no address"); err == nil {
		t.Error("an address without a port gave no error")
	}
}
