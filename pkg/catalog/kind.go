package catalog

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind configures one kind of document.
type Kind struct {
	// Name is lower-case letters, digits and dashes, at most 32: "product".
	Name string `yaml:"name"`
	// Prefix of the Redis key: "product_info_".
	Prefix string `yaml:"prefix"`
	// URL is the origin's path and query with {id}: "/getProductInfo?productId={id}".
	URL string `yaml:"url"`
	// BatchURL has {ids} (comma-separated); empty if the origin has no batch form.
	BatchURL string `yaml:"batch-url"`
	// IDField is the field of the body that holds the id (default "id"); the
	// answers of a batch are told apart by it.
	IDField string `yaml:"id-field"`
	// VersionFields are tried in order; the first one present is the version.
	// Nil means the four spellings of the replaced system; an empty list means the kind has none.
	VersionFields []string `yaml:"version-fields"`
	// VersionZone is the time zone of version texts without one (default UTC).
	VersionZone string `yaml:"version-zone"`
	// Field is the name under which a page reaches a document of this kind:
	// the request's parameter of that name, else that field of the root
	// document ("shopId"). Empty for a kind that is only a root.
	Field string `yaml:"field"`
	// Service is the serviceId of the replaced system's change messages
	// ("shopInfoService") and Param the field that holds the id there.
	Service string `yaml:"service"`
	Param   string `yaml:"param"`
	// SoftTTL (minimum and maximum, jittered between them) after which a
	// gateway refreshes its copy in the background; zero: the gateway's flag.
	SoftTTLMin time.Duration `yaml:"soft-ttl-min"`
	SoftTTLMax time.Duration `yaml:"soft-ttl-max"`

	zone *time.Location
}

// defaultVersionFields are the spellings seen in documents of the replaced system.
var defaultVersionFields = []string{"modifiedTime", "modifyTime", "updateTime", "modified_time"}

// DefaultKinds returns the two kinds of the replaced system.
func DefaultKinds() []Kind {
	return []Kind{
		{Name: "product", Prefix: "product_info_", URL: "/getProductInfo?productId={id}", BatchURL: "/getProductInfos?productIds={ids}",
			Service: "productInfoService", Param: "productId"},
		{Name: "shop", Prefix: "shop_info_", URL: "/getShopInfo?shopId={id}", Field: "shopId",
			Service: "shopInfoService", Param: "shopId"},
	}
}

var kindName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (k *Kind) complete() []string {
	var bad []string
	say := func(format string, args ...any) {
		bad = append(bad, fmt.Sprintf("kind %q: ", k.Name)+fmt.Sprintf(format, args...))
	}
	if !kindName.MatchString(k.Name) {
		say("the name must be lower-case letters, digits and dashes, begin with a letter and have at most 32 characters")
	}
	if k.Prefix == "" {
		k.Prefix = k.Name + "_info_"
	}
	if strings.ContainsAny(k.Prefix, "{} \t\r\n") {
		say("the prefix %q must not hold braces or white space", k.Prefix)
	}
	if !strings.Contains(k.URL, "{id}") {
		say("url %q lacks {id}", k.URL)
	}
	if k.BatchURL != "" && !strings.Contains(k.BatchURL, "{ids}") {
		say("batch-url %q lacks {ids}", k.BatchURL)
	}
	for _, u := range []string{k.URL, k.BatchURL} {
		if u != "" && !strings.HasPrefix(u, "/") {
			say("%q must be a path that begins with / (the host is --origin.url)", u)
		} else if _, err := url.Parse(strings.NewReplacer("{id}", "1", "{ids}", "1").Replace(u)); err != nil {
			say("%q is not a URL path: %v", u, err)
		}
	}
	if k.IDField == "" {
		k.IDField = "id"
	}
	if k.VersionFields == nil {
		k.VersionFields = defaultVersionFields
	}
	zone, err := time.LoadLocation(k.VersionZone)
	if err != nil {
		say("version-zone %q is not a known time zone", k.VersionZone)
	}
	k.zone = zone
	if k.SoftTTLMin < 0 || k.SoftTTLMax < k.SoftTTLMin {
		say("soft-ttl-min %v and soft-ttl-max %v must be positive and in that order", k.SoftTTLMin, k.SoftTTLMax)
	}
	return bad
}

// OriginPath returns the path and query of one document at the origin.
func (k *Kind) OriginPath(id int64) string {
	return strings.ReplaceAll(k.URL, "{id}", strconv.FormatInt(id, 10))
}

// OriginBatchPath returns the path and query of several documents.
func (k *Kind) OriginBatchPath(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return strings.ReplaceAll(k.BatchURL, "{ids}", b.String())
}

// RedisKey returns the key under which a document of this kind is stored.
func (k *Kind) RedisKey(id int64) string { return k.Prefix + strconv.FormatInt(id, 10) }
