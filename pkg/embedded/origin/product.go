package origin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ware is a sort of product.
type ware struct {
	noun   string
	draw   string // the picture's drawing
	low    int    // lowest price
	span   int    // and how far it goes up from there
	series []string
	specs  []string // one is chosen of each; alternatives parted by |
	sizes  []string
}

func wares() []ware {
	return []ware{
		{"Smartphone", "phone", 299, 900, []string{"Aria", "Nova", "Pico", "Lumen"}, []string{"6.1 in OLED|6.4 in OLED|6.7 in OLED, 120 Hz", "128 GB|256 GB|512 GB", "8 GB memory|12 GB memory", "5G, dual SIM"}, []string{"146 x 71 x 7.8 mm", "155 x 74 x 7.9 mm", "163 x 77 x 8.1 mm"}},
		{"Laptop", "laptop", 699, 1600, []string{"Fjord", "Atlas", "Quill", "Meridian"}, []string{"13 in IPS|14 in OLED|16 in IPS", "16 GB memory|32 GB memory", "512 GB SSD|1 TB SSD|2 TB SSD", "Wi-Fi 7"}, []string{"297 x 210 x 14 mm", "312 x 221 x 15 mm", "355 x 248 x 17 mm"}},
		{"Headphones", "headphones", 59, 340, []string{"Hush", "Echo", "Cadenza", "Murmur"}, []string{"over-ear|on-ear", "active noise cancelling|passive isolation", "30 h battery|45 h battery|60 h battery", "USB-C"}, []string{"one size"}},
		{"Watch", "watch", 89, 420, []string{"Tempo", "Solstice", "Orbit", "Minute"}, []string{"sapphire glass|mineral glass", "5 ATM|10 ATM", "automatic|quartz|solar", "steel case|titanium case"}, []string{"38 mm", "40 mm", "42 mm", "44 mm"}},
		{"Camera", "camera", 449, 1500, []string{"Iris", "Vista", "Kestrel", "Prism"}, []string{"24 MP|33 MP|45 MP", "APS-C sensor|full-frame sensor", "4K video|6K video", "dual card slots"}, []string{"122 x 70 x 63 mm", "134 x 91 x 68 mm"}},
		{"T-Shirt", "shirt", 15, 40, []string{"Harbour", "Meadow", "Linden", "Everyday"}, []string{"100 % organic cotton|cotton and linen|merino wool", "160 g/m2|180 g/m2|220 g/m2", "crew neck|V-neck", "machine wash 30 C"}, []string{"S,M,L", "S,M,L,XL", "XS,S,M,L,XL"}},
		{"Sneaker", "sneaker", 59, 120, []string{"Stride", "Pace", "Drift", "Dune"}, []string{"knit upper|leather upper|canvas upper", "cushioned sole|rubber sole", "removable insole", "vegan|water-repellent"}, []string{"38,39,40,41,42", "40,41,42,43,44,45", "36,37,38,39,40"}},
		{"Mug", "mug", 9, 26, []string{"Hearth", "Dawn", "Kiln", "Pebble"}, []string{"stoneware|porcelain|enamel", "300 ml|350 ml|450 ml", "dishwasher safe", "microwave safe|hand-glazed"}, []string{"8 x 9 cm", "9 x 10 cm"}},
		{"Desk Lamp", "lamp", 29, 150, []string{"Halo", "Beacon", "Arc", "Firefly"}, []string{"LED, 7 W|LED, 9 W|LED, 12 W", "2700 K|2700-6500 K", "dimmable, touch", "aluminium|oak and steel"}, []string{"42 cm", "48 cm", "55 cm"}},
		{"Backpack", "backpack", 39, 130, []string{"Trail", "Transit", "Summit", "Courier"}, []string{"18 l|22 l|28 l", "recycled polyester|waxed canvas", "laptop sleeve 14 in|laptop sleeve 16 in", "rain cover"}, []string{"44 x 28 x 15 cm", "48 x 30 x 17 cm"}},
	}
}

// hue is a colour a product comes in.
type hue struct{ name, main, dark, light string }

func hues() []hue {
	return []hue{
		{"midnight", "#2b3a67", "#172040", "#5c73b8"}, {"forest", "#2f6b4f", "#1b4231", "#62a886"},
		{"coral", "#e8735a", "#b24a35", "#f7a893"}, {"sand", "#cdb08a", "#9c8059", "#e8d6bb"},
		{"slate", "#5f6b7a", "#3c4653", "#93a0b0"}, {"plum", "#7a3e6d", "#4e2445", "#b074a2"},
		{"sky", "#4a9fd8", "#2a6f9e", "#8fcbf2"}, {"graphite", "#3b3d42", "#1f2024", "#74777f"},
		{"mustard", "#d9a52b", "#a37812", "#f2cf78"}, {"rose", "#d98a9c", "#a95a6d", "#f2bfca"},
	}
}

// dice gives numbers that look random and are the same for a product in every run.
type dice uint64

func roll(id int64) dice { return dice(uint64(id)*0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d) }

// next returns a number from 0 to n-1 (splitmix64).
func (d *dice) next(n int) int {
	*d += 0x9e3779b97f4a7c15
	x := uint64(*d)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

// look is what a product's data and its pictures share.
type appearance struct {
	ware ware
	hues []hue // two to four
	dice dice
}

func appear(id int64) appearance {
	d := roll(id)
	sorts := wares()
	a := appearance{ware: sorts[int((id-1)%int64(len(sorts)))]}
	all := hues()
	first, step, n := d.next(len(all)), 1+2*d.next(2), 2+d.next(3) // a step of 1 or 3 meets no colour twice
	for i := range n {
		a.hues = append(a.hues, all[(first+i*step)%len(all)])
	}
	a.dice = d
	return a
}

// picturesOf is the number of pictures of a product.
func picturesOf(id int64) int { return 3 + int(id%2) }

// product invents a product. pictures is the URL in front of a picture's name.
func product(id int64, pictures string) document {
	a := appear(id)
	d := &a.dice
	brands := []string{"Northwind", "Lumière", "Oak & Iron", "Kitano", "Solvang", "Bluebird", "Tessera", "Halcyon"}
	cities := []string{"Hangzhou", "Lyon", "Porto", "Leipzig", "Kyoto", "Aarhus"}
	services := []string{"free delivery", "30-day returns", "2-year warranty", "gift wrapping", "next-day delivery", "repair service"}
	brand, city := d.next(len(brands)), d.next(len(cities))
	name := fmt.Sprintf("%s %s %s %d", brands[brand], a.ware.series[d.next(len(a.ware.series))], a.ware.noun, 100+id)
	price := float64(a.ware.low+d.next(a.ware.span)) + 0.99
	var specs, colours, urls []string
	for _, s := range a.ware.specs {
		choice := strings.Split(s, "|")
		specs = append(specs, choice[d.next(len(choice))])
	}
	for _, h := range a.hues {
		colours = append(colours, h.name)
	}
	for n := range picturesOf(id) {
		urls = append(urls, fmt.Sprintf("%s%d-%d.svg", pictures, id, n+1))
	}
	s := d.next(len(services))
	service := services[s] + ", " + services[(s+2)%len(services)]
	// In the past, and not all at the same moment.
	modified := time.Date(2025, 6, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(id*421%260_000) * time.Minute / 4)
	return document{
		{"id", number(id)},
		{"name", text(name)},
		{"price", json.RawMessage(strconv.FormatFloat(price, 'f', 2, 64))},
		{"pictureList", text(strings.Join(urls, ","))},
		{"specification", text(strings.Join(specs, "; "))},
		{"service", text(service)},
		{"color", text(strings.Join(colours, ","))},
		{"size", text(a.ware.sizes[d.next(len(a.ware.sizes))])},
		{"shopId", number((id-1)%Shops + 1)},
		{"modifiedTime", text(modified.Format(time.DateTime))},
		{"cityId", number(int64(city + 1))},
		{"cityName", text(cities[city])},
		{"brandId", number(int64(brand + 1))},
		{"brandName", text(brands[brand])},
	}
}

func number(n int64) json.RawMessage { return json.RawMessage(strconv.FormatInt(n, 10)) }
