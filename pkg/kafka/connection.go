package kafka

import (
	"context"
	"fmt"
	"net"

	"github.com/IBM/sarama"
)

// boundDialer ties every connection to a context: its end closes the socket,
// so a request that waits for a silent broker returns at once.
type boundDialer struct{ ctx context.Context }

func (d boundDialer) Dial(network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	b := &boundConn{Conn: conn}
	b.stop = context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	return b, nil
}

type boundConn struct {
	net.Conn
	stop func() bool
}

func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// bind returns a copy of conf whose connections end with ctx. It has the
// password of this moment.
func bind(ctx context.Context, conf settings) *sarama.Config {
	bound := *conf.Config
	if conf.sasl != nil {
		bound.Net.SASL.Password = conf.sasl.Password()
	}
	bound.Net.Proxy.Enable = true
	bound.Net.Proxy.Dialer = boundDialer{ctx: ctx}
	return &bound
}

// connect opens one connection of its own and waits until it is usable.
func connect(ctx context.Context, conf settings, addr string) (*sarama.Broker, error) {
	b := sarama.NewBroker(addr)
	if err := b.Open(bind(ctx, conf)); err != nil {
		return nil, fmt.Errorf("connect to kafka broker %s: %w", addr, err)
	}
	if _, err := b.Connected(); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("connect to kafka broker %s: %w", addr, conf.strange(err))
	}
	return b, nil
}
