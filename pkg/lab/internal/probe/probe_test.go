package probe

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const clusterNodes = `07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004,hostname4 slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002 master,fail - 0 1426238316232 2 connected 5461-10922
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460 7000 [93-<-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1]
`

func TestParseRedisNodes(t *testing.T) {
	got, err := ParseRedisNodes(clusterNodes)
	if err != nil {
		t.Fatal(err)
	}
	want := []RedisNode{
		{ID: "07c37dfeb235213a872192d90877d0cd55635b91", Addr: "127.0.0.1:30004", MasterID: "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca"},
		{ID: "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1", Addr: "127.0.0.1:30002", Master: true, Failed: true, Slots: [][2]int{{5461, 10922}}},
		{ID: "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca", Addr: "127.0.0.1:30001", Myself: true, Master: true, Slots: [][2]int{{0, 5460}, {7000, 7000}}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"too few fields", "a b c d e f g h x-y", "a b c d e f g h 1-"} {
		if got, err := ParseRedisNodes(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

func TestRedisReply(t *testing.T) {
	cases := []struct{ name, in, want, wantErr string }{
		{"simple", "+OK\r\n", "OK", ""},
		{"number", ":7\r\n", "7", ""},
		{"bulk", "$5\r\na\r\nbc\r\n", "a\r\nbc", ""},
		{"none", "$-1\r\n", "", ""},
		{"error", "-MOVED 0 127.0.0.1:1\r\n", "", "MOVED 0 127.0.0.1:1"},
		{"array", "*1\r\n", "", "not a string"},
		{"too large", "$99999999999\r\n", "", "no usable length"},
		{"cut short", "$5\r\na", "", "unexpected EOF"},
		{"nothing", "", "", "EOF"},
		{"empty line", "\r\n", "", "empty line"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := redisReply(bufio.NewReader(strings.NewReader(c.in)))
			if got != c.want || (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("got %q, %v, want %q and an error with %q", got, err, c.want, c.wantErr)
			}
		})
	}
}

// An answer of Metadata version 1: correlation 1, brokers 1 at 127.0.0.1:9092 and 2 at [::1]:9093 in rack r, the rest cut.
const metadata = "00000001" + "00000002" +
	"00000001" + "0009" + "3132372e302e302e31" + "00002384" + "ffff" +
	"00000002" + "0003" + "3a3a31" + "00002385" + "0001" + "72" + "00000001"

func TestParseKafkaMetadata(t *testing.T) {
	raw, err := hex.DecodeString(metadata)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseKafkaMetadata(raw)
	if err != nil {
		t.Fatal(err)
	}
	if want := "map[1:127.0.0.1:9092 2:[::1]:9093]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := parseKafkaMetadata(raw[:20]); !errors.Is(err, errKafkaShort) {
		t.Errorf("cut short: got %v, want %v", err, errKafkaShort)
	}
}

func FuzzParseRedisNodes(f *testing.F) {
	f.Add(clusterNodes)
	f.Add("a b c d e f g h 1-2 3")
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := ParseRedisNodes(text)
		if err != nil && nodes != nil {
			t.Errorf("got nodes together with %v", err)
		}
	})
}

func FuzzParseKafkaMetadata(f *testing.F) {
	raw, _ := hex.DecodeString(metadata)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if brokers, err := parseKafkaMetadata(b); err != nil && brokers != nil {
			t.Errorf("got brokers together with %v", err)
		}
	})
}
