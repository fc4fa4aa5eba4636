package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Redis sends one command and returns the reply as text: a bulk or simple string, or an integer in decimal.
func Redis(ctx context.Context, addr string, args ...string) (string, error) {
	return redisReplies(ctx, addr, nil, args)
}

// RedisTLS is Redis over TLS, for the user with the password.
func RedisTLS(ctx context.Context, addr string, conf *tls.Config, user, password string, args ...string) (string, error) {
	return redisReplies(ctx, addr, conf, []string{"AUTH", user, password}, args)
}

// redisReplies sends the commands one after the other on a connection and returns the last one's reply.
func redisReplies(ctx context.Context, addr string, conf *tls.Config, commands ...[]string) (reply string, err error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return "", fmt.Errorf("ask redis at %s: %w", addr, err)
	}
	defer conn.Close()
	if conf != nil {
		conn = tls.Client(conn, conf)
	}
	r := bufio.NewReader(conn)
	for _, args := range commands {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err := io.WriteString(conn, b.String()); err != nil {
			return "", fmt.Errorf("ask redis at %s for %s: %w", addr, args[0], err)
		}
		if reply, err = redisReply(r); err != nil {
			return "", fmt.Errorf("ask redis at %s for %s: %w", addr, strings.Join(args, " "), err)
		}
	}
	return reply, nil
}

func redisReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty line came instead of a reply")
	}
	switch line[0] {
	case '+', ':':
		return line[1:], nil
	case '-':
		return "", errors.New(line[1:])
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n > 16<<20 {
			return "", fmt.Errorf("the reply %q has no usable length", line)
		}
		if n < 0 {
			return "", nil
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(r, body); err != nil {
			return "", err
		}
		return string(body[:n]), nil
	}
	return "", fmt.Errorf("the reply %q is not a string or a number", line)
}

// RedisNode is one line of CLUSTER NODES.
type RedisNode struct {
	ID       string
	Addr     string // host:port told to clients
	Myself   bool
	Master   bool
	Failed   bool   // fail, fail? , handshake or noaddr
	MasterID string // of a replica
	Slots    [][2]int
}

// RedisNodes reads the cluster as the node at addr sees it.
func RedisNodes(ctx context.Context, addr string) ([]RedisNode, error) {
	text, err := Redis(ctx, addr, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	return ParseRedisNodes(text)
}

// ParseRedisNodes reads the text of CLUSTER NODES.
func ParseRedisNodes(text string) ([]RedisNode, error) {
	var nodes []RedisNode
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 8 {
			return nil, fmt.Errorf("the line %q of CLUSTER NODES has fewer than 8 fields", line)
		}
		n := RedisNode{ID: f[0]}
		n.Addr, _, _ = strings.Cut(f[1], "@")
		for flag := range strings.SplitSeq(f[2], ",") {
			switch flag {
			case "myself":
				n.Myself = true
			case "master":
				n.Master = true
			case "fail", "fail?", "handshake", "noaddr":
				n.Failed = true
			}
		}
		if f[3] != "-" {
			n.MasterID = f[3]
		}
		for _, s := range f[8:] {
			if strings.HasPrefix(s, "[") {
				continue // a slot on the move
			}
			from, to, ranged := strings.Cut(s, "-")
			if !ranged {
				to = from
			}
			a, errA := strconv.Atoi(from)
			b, errB := strconv.Atoi(to)
			if errA != nil || errB != nil {
				return nil, fmt.Errorf("the slot range %q of CLUSTER NODES is not a number or two", s)
			}
			n.Slots = append(n.Slots, [2]int{a, b})
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// Field finds "name:value" in the text of INFO or CLUSTER INFO; empty when it is not there.
func Field(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return v
		}
	}
	return ""
}

// dial connects with the deadline of ctx, and gives the whole exchange at most two seconds: a paused server accepts
// connections and never answers.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	limit := time.Now().Add(2 * time.Second)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	d := net.Dialer{Deadline: limit}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(limit); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
