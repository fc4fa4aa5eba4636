package roles

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/config"
	"eshop/pkg/kafka"
)

// maxLine bounds one line of standard input; a change message has about a hundred bytes.
const maxLine = 64 << 10

// flushTimeout bounds the end of the producer. Every message was waited for, so all it may still hold
// are those that were given up.
const flushTimeout = 200 * time.Millisecond

// publication is what the flags of publish say.
type publication struct {
	kind, id, op, version, line string
	timeout                     time.Duration
}

func publishCommand() command {
	var what publication
	return command{
		name:  "publish",
		words: "[-]",
		short: "Send change messages, as the shop's services do",
		long: `Sends change messages: a document of the shop's services has changed, been deleted, or was put back
on purpose (force: an older version wins). Every copy of it in Redis and in the gateways follows.

The message is made from --kind and --id, or taken from --line as it is, or from standard input, one a
line, when the only word is "-". A message is sent once the brokers have acknowledged it; each has one
line of output. A message that could not be understood is not sent.`,
		examples: []string{
			"product 7 has changed\neshop publish --kafka.brokers 127.0.0.1:9092 --kind product --id 7",
			"shop 3 was deleted\neshop publish --kafka.brokers 127.0.0.1:9092 --kind shop --id 3 --op delete",
			"a line of the old system\neshop publish --kafka.brokers 127.0.0.1:9092 --line '{\"serviceId\":\"productInfoService\",\"productId\":1,\"shopId\":1}'",
			"many of them\neshop publish --kafka.brokers 127.0.0.1:9092 - < changes.jsonl",
		},
		define: func(set *config.Set, s *settings) {
			set.Area("Message")
			set.Text(&what.kind, "kind", "name", "", "kind of the document: product, shop, or one of the file's kinds")
			set.Text(&what.id, "id", "n", "", "id of the document, from 1 on")
			set.Choice(&what.op, "op", "update", []string{"update", "delete", "force"}, "what happened to it")
			set.Text(&what.version, "version", "n", "", "the document's version at the origin, when it is known")
			set.Text(&what.line, "line", "json", "", "a whole message, instead of the flags above")
			set.Duration(&what.timeout, "timeout", 30*time.Second, time.Millisecond, "how long to wait for the brokers, for each message")
			for _, name := range []string{"kind", "id", "op", "version", "line", "timeout"} {
				set.OfInvocation(name)
			}
			s.kafka.define(set)
			s.process.define(set, "warn")
		},
		prepare: func(s *settings, loaded config.Loaded, words []string, problems *config.Problems) run {
			cat := catalogOf(loaded, problems)
			needed("publish", "kafka.brokers", len(s.kafka.brokers) > 0, problems)
			cfg := s.kafka.config(problems)
			s.kafka.topics(problems)
			var lines func(p process) io.Reader
			switch {
			case s.process.check:
			case len(words) > 1 || len(words) == 1 && words[0] != "-":
				*problems = append(*problems, config.Problem{Setting: strings.Join(words, " "), Constraint: `must be "-", for standard input, or nothing`})
			case len(words) == 1:
				if what.kind != "" || what.id != "" || what.line != "" {
					problems.Add("kind, --id and --line", "", "cannot be used together with standard input")
				}
				lines = func(p process) io.Reader { return p.stdin }
			default:
				one := what.message(cat, problems)
				lines = func(process) io.Reader { return strings.NewReader(one) }
			}
			return func(ctx context.Context, p process) error {
				cfg.ClientID = "eshop-publish"
				log := p.logger(s.process.logLevel, s.process.logFormat)
				producer, err := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, FlushTimeout: flushTimeout}, kafka.Deps{Log: log})
				if err != nil {
					return fmt.Errorf("set up the Kafka producer: %w", err)
				}
				send := func(ctx context.Context, r kafka.Record) error {
					ctx, cancel := context.WithTimeout(ctx, what.timeout)
					defer cancel()
					return producer.Send(ctx, r)
				}
				return during(ctx, producer.Run, func(ctx context.Context) error {
					return publishLines(ctx, cat, s.kafka.topicChange, lines(p), send, p.stdout)
				})
			}
		},
	}
}

// message checks the flags and makes one message of them.
func (w *publication) message(cat *catalog.Catalog, problems *config.Problems) string {
	if cat == nil {
		return "" // the kinds are wrong, which is among the problems
	}
	if w.line != "" {
		if w.kind != "" || w.id != "" || w.version != "" {
			problems.Add("line", w.line, "is a whole message and cannot be used with --kind, --id or --version")
		} else if _, err := cat.ParseChange([]byte(w.line)); err != nil {
			problems.Add("line", w.line, err.Error())
		}
		return oneLine(w.line)
	}
	if w.kind == "" && w.id == "" {
		problems.Add("kind and --id", "", `say which document has changed; or give --line, or "-" for standard input`)
		return ""
	}
	change := catalog.Change{Key: catalog.Key{Kind: w.kind}, Op: catalog.Op(w.op)}
	if change.Op == "update" {
		change.Op = catalog.OpUpdate
	}
	if cat.Kind(w.kind) == nil {
		problems.Add("kind", w.kind, "must be one of "+strings.Join(cat.KindNames(), ", "))
	}
	var err error
	if change.Key.ID, err = catalog.ParseID(w.id); err != nil {
		problems.Add("id", w.id, "must be a whole number from 1 on")
	}
	if w.version != "" {
		if change.Version, err = catalog.ParseID(w.version); err != nil {
			problems.Add("version", w.version, "must be a whole number from 1 on")
		}
	}
	if cat.Kind(w.kind) == nil {
		return ""
	}
	text, err := cat.EncodeChange(change)
	if err != nil {
		problems.AddError("", err)
	}
	return string(text)
}

// oneLine takes the line breaks out of a JSON text, which may have been typed with some.
func oneLine(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text // it is refused anyway
	}
	return b.String()
}

// publishLines sends every line and reports each. A line that is wrong or cannot be sent does not
// keep the others back; how many there were is the error.
func publishLines(ctx context.Context, cat *catalog.Catalog, topic string, lines io.Reader, send func(context.Context, kafka.Record) error, out io.Writer) error {
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(make([]byte, 0, 4096), maxLine)
	number, sent, failed := 0, 0, 0
	for scanner.Scan() && ctx.Err() == nil {
		number++
		line := strings.TrimSpace(scanner.Text())
		if line == "" {
			continue
		}
		if err := publishLine(ctx, cat, topic, line, send, out); err != nil {
			failed++
			fmt.Fprintf(out, "not sent: line %d: %v: %s\n", number, err, line)
			continue
		}
		sent++
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read line %d: %w (%d messages were sent before it)", number+1, err, sent)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted after %d messages: %w", sent, context.Cause(ctx))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d messages were not sent", failed, failed+sent)
	}
	return nil
}

func publishLine(ctx context.Context, cat *catalog.Catalog, topic, line string, send func(context.Context, kafka.Record) error, out io.Writer) error {
	change, err := cat.ParseChange([]byte(line))
	if err != nil {
		return err
	}
	begin := time.Now()
	// The key keeps the changes of one document in order; the consumers do not need it.
	if err := send(ctx, kafka.Record{Topic: topic, Key: []byte(change.Key.String()), Value: []byte(line)}); err != nil {
		return err
	}
	op := change.Op
	if op == catalog.OpUpdate {
		op = "update"
	}
	fmt.Fprintf(out, "sent to %s in %s: %s of %s %d: %s\n", topic, time.Since(begin).Round(100*time.Microsecond), op, change.Key.Kind, change.Key.ID, line)
	return nil
}

// during runs a client in the background for as long as work takes.
func during(ctx context.Context, client func(context.Context) error, work func(context.Context) error) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx)) // it may still have to flush
	ended := make(chan error, 1)
	go func() { ended <- client(background) }()
	err := work(ctx)
	stop()
	if clientErr := <-ended; clientErr != nil && !errors.Is(clientErr, context.Canceled) {
		err = errors.Join(err, clientErr)
	}
	return err
}
