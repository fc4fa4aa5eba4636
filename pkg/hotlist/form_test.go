package hotlist

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
)

// What is published is read back as it was, whatever the numbers.
func TestFormRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	number := func() int64 {
		return r.Int64() >> r.IntN(63)
	}
	for range 300 {
		h := Hot{Partition: r.Int32(), Generation: 1 + number()>>1, Holder: "hc-<é\n\"", Offset: number(), Watermark: -number(), Published: number(), Keys: []Key{}}
		top := Top{Partition: h.Partition, Generation: h.Generation, Holder: h.Holder, Span: number(), Total: number(), Distinct: number(), Rate: r.NormFloat64(), Lag: number(), Keys: Counts{}}
		for range r.IntN(30) {
			h.Keys = append(h.Keys, Key{ID: max(1, number()), Count: number(), Since: number(), Reason: ReasonRule})
			top.Keys = append(top.Keys, Count{max(1, number()), number()})
		}
		name := partitionNode(h.Partition)
		data, err := encodeHot(h)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseHot(name, data); err != nil || !reflect.DeepEqual(back, h) {
			t.Fatalf("got %+v, %v, want %+v", back, err, h)
		}
		if data, err = encodeTop(top); err != nil {
			t.Fatal(err)
		}
		if back, err := parseTop(name, data); err != nil || !reflect.DeepEqual(back, top) {
			t.Fatalf("got %+v, %v, want %+v", back, err, top)
		}
	}
}

// The fence itself: an encoder takes no generation that is none.
func TestFormNeedsAGeneration(t *testing.T) {
	for _, g := range []int64{0, -1, math.MinInt64} {
		if data, err := encodeHot(Hot{Generation: g}); err == nil {
			t.Errorf("generation %d gave %s", g, data)
		}
		if data, err := encodeTop(Top{Generation: g}); err == nil {
			t.Errorf("generation %d gave %s", g, data)
		}
	}
	if _, err := encodeHot(Hot{Partition: -1, Generation: 1}); err == nil {
		t.Error("partition -1 was encoded")
	}
}

// FuzzNodes: whatever stands in a node, reading it neither panics nor lets
// anything through that breaks the limits, and what is read is written in a form
// that is read as the same.
func FuzzNodes(f *testing.F) {
	for _, seed := range []string{
		`{"partition":1,"generation":7,"holder":"hc","offset":4,"watermark":5,"published":6,"keys":[{"id":7,"count":70,"since":17,"reason":"rule"}]}`,
		`{"partition":1,"generation":7,"span":10000,"total":8,"distinct":2,"rate":0.8,"lag":1,"keys":[[7,5],[9,3,"later"]]}`,
		`{"partition":1,"generation":7,"keys":null}`, `{"partition":1,"generation":7,"keys":[null]}`, `{"partition":1,"generation":7,"keys":{}}`,
		`{"floor":200,"factor":10,"cool":0.5,"hold":"5s","window":"10s","top":2000,"max":256}`, `{"hold":"-1s"}`, `{"factor":1e999}`,
		`{"by":"me","at":1700000000000}`, `null`, ``, ` {} `, `{`, `[]`, `{"KEYS":[[1,2]],"Partition":1,"generation":1}`,
	} {
		f.Add("1", []byte(seed))
	}
	f.Add("01", []byte(`{"partition":1,"generation":1}`))
	f.Add("2147483648", []byte(`{}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if h, err := parseHot(name, data); err == nil {
			if len(h.Keys) > MaxHot || h.Generation < 1 || name != strconv.Itoa(int(h.Partition)) {
				t.Errorf("read %+v from %q", h, name)
			}
			again, err := encodeHot(h)
			if err != nil {
				t.Fatalf("what was read is not written: %v", err)
			}
			back, err := parseHot(name, again)
			if h.Keys == nil {
				h.Keys = []Key{}
			}
			if err != nil || !reflect.DeepEqual(back, h) {
				t.Errorf("wrote %+v, read %+v, %v", h, back, err)
			}
		}
		if top, err := parseTop(name, data); err == nil {
			again, err := encodeTop(top)
			if errors.Is(err, ErrTooLarge) {
				return
			}
			if err != nil {
				t.Fatalf("what was read is not written: %v", err)
			}
			back, err := parseTop(name, again)
			if top.Keys == nil {
				top.Keys = Counts{}
			}
			if err != nil || !reflect.DeepEqual(back, top) {
				t.Errorf("wrote %+v, read %+v, %v", top, back, err)
			}
		}
		if r, err := parseRule(data); err == nil {
			again, err := encodeRule(r)
			if err != nil {
				t.Fatalf("a rule that was read is not written: %v", err)
			}
			if back, err := parseRule(again); err != nil || back != r {
				t.Errorf("wrote %+v, read %+v, %v", r, back, err)
			}
		}
		if m, err := parseMark(name, data); err == nil {
			if m.id < 1 || name != strconv.FormatInt(m.id, 10) {
				t.Errorf("the mark %q has the id %d", name, m.id)
			}
			again, err := json.Marshal(m.mark)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := parseMark(name, again); err != nil || back != m {
				t.Errorf("wrote %+v, read %+v, %v", m, back, err)
			}
		}
	})
}

// A top list in the size of the default rule, and the view of 12 partitions.
func BenchmarkTopForm(b *testing.B) {
	top := Top{Generation: 1, Holder: "hc-1"}
	for i := range int64(2000) {
		top.Keys = append(top.Keys, Count{1_000_000 + 7919*i, 200_000 / (i + 1)})
	}
	data, err := encodeTop(top)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := encodeTop(top); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := parseTop("0", data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One of 12 lists has changed.
func BenchmarkView(b *testing.B) {
	c := New(Deps{})
	nodes := map[string][]byte{}
	var lists []Hot
	for p := range int32(12) {
		h := Hot{Partition: p, Generation: 1, Holder: "hc-1"}
		for i := range int64(20) {
			h.Keys = append(h.Keys, Key{ID: 1000*int64(p) + i + 1, Count: 200 + i, Since: 1_700_000_000_000, Reason: ReasonRule})
		}
		lists = append(lists, h)
		data, err := encodeHot(h)
		if err != nil {
			b.Fatal(err)
		}
		nodes[partitionNode(p)] = data
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h := &lists[i%12]
		h.Offset++
		data, err := encodeHot(*h)
		if err != nil {
			b.Fatal(err)
		}
		nodes[partitionNode(h.Partition)] = data
		if v := newView(c.hot.read(nodes), nil, nil); len(v.Hot) != 240 {
			b.Fatal(len(v.Hot))
		}
	}
}
