package rediscluster_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// model is the rules of the compare-and-set as plainly as Go can say them: the
// stored document, and whether a plain string stands there.
type model struct {
	doc    catalog.Document
	string bool
}

func (m *model) write(op rediscluster.Op, d catalog.Document) rediscluster.Outcome {
	was, gone := m.doc, op == tomb || op == ftomb
	refused := rediscluster.Outcome{Stored: was.Stamp, Previous: was.State}
	if m.string {
		refused.Stored = catalog.Stamp{} // the script does not read the version in it
	}
	now := d
	now.Stamp.Epoch = max(was.Stamp.Epoch, d.Stamp.Epoch)
	if bar := now.Stamp.Epoch; bar > 0 && d.Stamp.Token <= bar {
		return refused
	}
	forced := op == force || op == ftomb
	if gone {
		now.State, now.Body = catalog.Tombstone, nil
	}
	if m.string || was.State == catalog.Absent {
		if m.string && gone && d.Stamp.Version == 0 && d.Field == "" {
			now.Stamp.Version, now.Field = was.Stamp.Version, was.Field
		}
	} else {
		newer := d.Stamp.Token > was.Stamp.Token
		if gone {
			now.Stamp.Version, now.Field = was.Stamp.Version, was.Field
			if d.Field == "" && d.Stamp.Epoch >= was.Stamp.Epoch {
				now.Stamp.Version = max(was.Stamp.Version, d.Stamp.Version)
			}
		}
		switch {
		case forced || gone || now.Stamp.Epoch > was.Stamp.Epoch: // the last: Redis had lost the force
			if !newer {
				return refused
			}
		case was.Field != d.Field:
			if !newer {
				return refused
			}
			now.Stamp.Epoch = d.Stamp.Token
		default:
			if !was.Stamp.Less(now.Stamp) || was.State == catalog.Tombstone && !newer {
				return refused
			}
		}
	}
	if forced {
		now.Stamp.Epoch = d.Stamp.Token
	}
	changed := false
	switch was.State {
	case catalog.Live:
		changed = gone || string(was.Body) != string(d.Body)
	case catalog.Tombstone:
		changed = !gone
	}
	m.doc, m.string = now, false
	return rediscluster.Outcome{Accepted: true, Stored: now.Stamp, Previous: was.State, Changed: changed}
}

// edges are numbers where a wrong comparison shows.
var edges = []int64{0, 1, 2, 9, 10, 11, 99, 100, exact - 1, exact, exact + 1, exact + 2, 1e18, 1e18 + 1, most - 2, most - 1, most}

// TestModel runs random schedules against the script and the model: every
// outcome and every stored document must agree, and no stamp goes down.
func TestModel(t *testing.T) {
	steps := 3000
	if long() {
		steps = 100_000
	}
	seed := rand.Uint64()
	if text := os.Getenv("ESHOP_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("ESHOP_SEED=%d", seed)
	onBoth(t, func(t *testing.T, addrs []string) {
		cat := shop(t)
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, cat)
		if err := compareWithModel(t, s, cat, seed, steps); err != nil {
			t.Error(err)
		}
	})
}

// The comparison above finds each of these faults.
func TestModelFindsFaults(t *testing.T) {
	for name, change := range map[string][2]string{
		"no compare":              {"if not accept then", "if false then"},
		"doubles":                 {"local function compare(a, b)", "local function compare(a, b)\n  a, b = tonumber(a), tonumber(b)\n  if a < b then return -1 elseif a > b then return 1 end return 0\nend\nlocal function unused(a, b)"},
		"texts of any length":     {"if #a ~= #b then", "if false then"},
		"no field drift":          {"elseif f ~= field then", "elseif false then"},
		"epoch not inherited":     {"local ne, nv, nf = e,", "local ne, nv, nf = '0',"},
		"epoch not a bar":         {"if e ~= '0' and compare(token, e) <= 0 or", "if"},
		"lost epoch forgotten":    {"if compare(ARGV[9], ne) > 0 then", "if false then"},
		"lost version forgotten":  {"if field == '' and compare(ARGV[9], e) >= 0", "if false"},
		"deleted comes back":      {"if previous == 'tombstone' and not newer then", "if false then"},
		"tombstone's own version": {"nv, nf = v, f", "nv, nf = version, field"},
		"change not seen":         {"if old ~= body then changed = '1' end", ""},
	} {
		t.Run(name, func(t *testing.T) {
			source := strings.Replace(rediscluster.Script(), change[0], change[1], 1)
			if source == rediscluster.Script() {
				t.Fatalf("the script has no %q", change[0])
			}
			cat := shop(t)
			s, _ := open(t, rediscluster.Config{Addrs: []string{embedded(t).Addr()}}, cat)
			s.SetScript(source)
			if err := compareWithModel(t, s, cat, 1, 5000); err == nil {
				t.Error("the fault was not found")
			}
		})
	}
}

func compareWithModel(t *testing.T, s *rediscluster.Store, cat *catalog.Catalog, seed uint64, steps int) error {
	rnd := rand.New(rand.NewPCG(seed, 1))
	const keys = 8
	fields := []string{"", "modifiedTime", "updateTime"}
	bodies := []string{`{"a":1}`, `{"a":2}`, "\x00\r\n", `{"modifiedTime":"2017-01-01 00:00:00"}`}
	number := func() int64 {
		if rnd.IntN(3) == 0 {
			return edges[rnd.IntN(len(edges))]
		}
		return rnd.Int64N(40)
	}
	models := make([]model, keys)
	for id := range models {
		models[id].doc = catalog.Document{Key: product(int64(id + 1))}
	}
	for n := range steps {
		id := rnd.IntN(keys)
		m := &models[id]
		switch rnd.IntN(200) {
		case 0: // dropped by Redis
			s.Masters().Del(t.Context(), cat.RedisKey(m.doc.Key))
			*m = model{doc: catalog.Document{Key: m.doc.Key}}
		case 1, 2: // the replaced system writes
			body := bodies[rnd.IntN(len(bodies))]
			v, f, err := cat.Kind("product").VersionOf([]byte(body))
			s.Masters().Set(t.Context(), cat.RedisKey(m.doc.Key), body, 0)
			*m = model{string: true, doc: catalog.Document{Key: m.doc.Key, State: live, Body: []byte(body), Field: f, Stamp: stamp(0, v, 0)}}
			if err != nil { // no document for readers; for the script a live string
				continue
			}
		}
		d := doc(m.doc.Key.ID, number(), number(), bodies[rnd.IntN(len(bodies))])
		d.Field = fields[rnd.IntN(len(fields))]
		if rnd.IntN(6) == 0 {
			d.Stamp.Epoch = number()
		}
		op := put
		switch rnd.IntN(12) {
		case 0, 1:
			op = tomb
		case 2:
			op = force
		case 3:
			op = ftomb
		}
		before := *m
		want := m.write(op, d)
		got, err := s.Write(t.Context(), op, d)
		if err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
		what := fmt.Sprintf("step %d: %v %v field %q over %v %v field %q", n, op, d.Stamp, d.Field, before.doc.State, before.doc.Stamp, before.doc.Field)
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("%s: outcome (-model +redis):\n%s", what, diff)
		}
		stored, err := s.Get(t.Context(), d.Key, rediscluster.FromMaster)
		if err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
		if diff := cmp.Diff(m.doc, stored); diff != "" && !m.string {
			return fmt.Errorf("%s: stored (-model +redis):\n%s", what, diff)
		}
		if !before.string && stored.Stamp.Less(before.doc.Stamp) {
			return fmt.Errorf("%s: the stamp went down to %v", what, stored.Stamp)
		}
	}
	return nil
}
