package probe

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// ZooKeeperMode asks a node with the four-letter word srvr: "leader", "follower", "standalone", or "" while it serves
// nobody.
func ZooKeeperMode(ctx context.Context, addr string) (string, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return "", fmt.Errorf("ask zookeeper at %s for its mode: %w", addr, err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return "", fmt.Errorf("ask zookeeper at %s for its mode: %w", addr, err)
	}
	text, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read the mode of zookeeper at %s: %w", addr, err)
	}
	return strings.TrimSpace(Field(string(text), "Mode")), nil
}
