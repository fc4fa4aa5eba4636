package origin

import (
	"encoding/json"
	"strconv"
)

// shop invents a shop. Shops have no version field.
func shop(id int64) document {
	d := roll(-id)
	first := []string{"Willow", "Harbour", "Copper", "Juniper", "Cobalt", "Maple", "Lantern", "Orchard", "Saffron", "Granite"}
	second := []string{"Lane", "& Sons", "Market", "Supply", "Workshop", "Outfitters", "Corner", "Trading"}
	// The two lists give each of the first 50 shops a name of its own.
	name := first[(id-1)%int64(len(first))] + " " + second[(id-1)/int64(len(first))%int64(len(second))]
	rate := 0.90 + float64(d.next(100))/1000
	return document{
		{"id", number(id)},
		{"name", text(name)},
		{"level", number(int64(1 + d.next(5)))},
		{"goodCommentRate", json.RawMessage(strconv.FormatFloat(rate, 'f', 3, 64))},
	}
}
