package tracing

import (
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"eshop/pkg/catalog"
)

// Attr is an attribute of a span.
type Attr = attribute.KeyValue

// Names of eshop's own attributes, for what the semantic conventions have no word.
const (
	documentKey  = "eshop.document"
	documentsKey = "eshop.documents"
	stampKey     = "eshop.stamp"
	versionKey   = "eshop.version"
	stateKey     = "eshop.state"
	layerKey     = "eshop.layer"
	outcomeKey   = "eshop.outcome"
	tokenKey     = "eshop.token"
	fromKey      = "eshop.redis.from"
	sharedKey    = "eshop.shared"
	requestKey   = "eshop.request.id"
)

// Document names the document that a span is about.
func Document(key catalog.Key) Attr { return attribute.String(documentKey, key.String()) }

// Documents names several.
func Documents(keys []catalog.Key) Attr {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.String()
	}
	return attribute.StringSlice(documentsKey, names)
}

// Copy tells the state and the stamp of a copy, and its version, which is what the
// shop knows it by.
func Copy(d catalog.Document) []Attr {
	return []Attr{attribute.String(stateKey, d.State.String()), Stamp(d.Stamp), Version(d.Stamp.Version)}
}

// Stamp tells epoch, version and token of a copy.
func Stamp(s catalog.Stamp) Attr { return attribute.String(stampKey, s.String()) }

// Version is the shop's own.
func Version(v int64) Attr { return attribute.Int64(versionKey, v) }

// State tells whether there is such a document.
func State(s catalog.State) Attr { return attribute.String(stateKey, s.String()) }

// Layer tells which level answered.
func Layer(name string) Attr { return attribute.String(layerKey, name) }

// Outcome tells in a word how it ended.
func Outcome(word string) Attr { return attribute.String(outcomeKey, word) }

// Token is a fencing token of ZooKeeper.
func Token(token int64) Attr { return attribute.Int64(tokenKey, token) }

// Shared tells that another request's work served this one too.
func Shared(is bool) Attr { return attribute.Bool(sharedKey, is) }

// Request tells the request's id.
func Request(id string) Attr { return attribute.String(requestKey, id) }

// Redis tells of a call to Redis Cluster: the command, how many of it, and which
// nodes were asked first.
func Redis(command string, n int, from string) []Attr {
	a := []Attr{semconv.DBSystemNameRedis, semconv.DBOperationName(command), attribute.String(fromKey, from)}
	if n > 1 {
		a = append(a, semconv.DBOperationBatchSize(n))
	}
	return a
}

// ZooKeeper tells of a call to ZooKeeper; lock is "" where there is none.
func ZooKeeper(operation, lock string) []Attr {
	a := []Attr{semconv.DBSystemNameKey.String("zookeeper"), semconv.DBOperationName(operation)}
	if lock != "" {
		a = append(a, attribute.String("eshop.lock", lock))
	}
	return a
}

// HTTPRequest tells of a request that was received; route may be empty.
func HTTPRequest(method, path, route string) []Attr {
	a := []Attr{semconv.HTTPRequestMethodKey.String(method), semconv.URLScheme("http"), semconv.URLPath(path)}
	if route != "" {
		a = append(a, semconv.HTTPRoute(route))
	}
	return a
}

// HTTPCall tells of a request that was sent. The URL has no more than ids in it.
func HTTPCall(method, url, addr string) []Attr {
	return append(server(addr), semconv.HTTPRequestMethodKey.String(method), semconv.URLFull(url))
}

// server tells whom a call goes to.
func server(addr string) []Attr {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return []Attr{semconv.ServerAddress(addr)}
	}
	a := []Attr{semconv.ServerAddress(host)}
	if n, err := strconv.Atoi(port); err == nil {
		a = append(a, semconv.ServerPort(n))
	}
	return a
}

// Owner tells which process was asked as the owner of a document.
func Owner(id, addr string) []Attr { return append(server(addr), attribute.String("eshop.owner", id)) }

// HTTPStatus is the answer's.
func HTTPStatus(code int) Attr { return semconv.HTTPResponseStatusCode(code) }

// Message tells of a record of Kafka. operation is send or process; offset is not
// known, below 0, for one that is sent.
func Message(operation, topic string, partition int32, offset int64, key string) []Attr {
	a := []Attr{semconv.MessagingSystemKafka, semconv.MessagingOperationName(operation), semconv.MessagingOperationTypeKey.String(operation),
		semconv.MessagingDestinationName(topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(int(partition)))}
	if offset >= 0 {
		a = append(a, semconv.MessagingKafkaOffset(int(offset)))
	}
	if key != "" {
		a = append(a, semconv.MessagingKafkaMessageKey(key))
	}
	return a
}
