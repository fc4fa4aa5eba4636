package zookeeper_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"eshop/pkg/zookeeper"
)

// holdVariable makes this test binary a process that holds a lock: root, then
// the servers, separated by commas.
const holdVariable = "ESHOP_ZOOKEEPER_TEST_HOLD"

const holdTimeout = 3 * time.Second

// hold takes the lock, says so with its token, and says when it is lost. It
// ends with its standard input.
func hold(setting string) int {
	parts := strings.Split(setting, ",")
	s, err := zookeeper.New(zookeeper.Config{Root: parts[0], Servers: parts[1:], SessionTimeout: holdTimeout}, zookeeper.Deps{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	go func() {
		bufio.NewReader(os.Stdin).ReadString(0)
		cancel()
	}()
	ticket, err := s.Enqueue(ctx, "k")
	if err == nil {
		err = ticket.Wait(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("held", ticket.Token())
	<-ticket.Lost()
	fmt.Println("lost")
	if err := <-ended; err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
