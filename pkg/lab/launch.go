package lab

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"eshop/pkg/lab/internal/flock"
	"eshop/pkg/lab/internal/keep"
	"eshop/pkg/lab/internal/wire"
)

// reachKeeper connects to the keeper of the shared directory, starting it when there is none, or to a new keeper of this
// process alone when dir is empty.
func reachKeeper(dir string) (socket string, conn *wire.Conn, own *os.Process, err error) {
	if dir == "" {
		return ownKeeper()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, nil, fmt.Errorf("find the lab directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, nil, fmt.Errorf("make the lab directory: %w", err)
	}
	// One test binary starts the keeper, the others wait here for it.
	lock, err := flock.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, nil, err
	}
	defer lock.Close()
	if state, err := keep.ReadState(dir); err == nil {
		if conn, err := hello(state.Socket); err == nil {
			return state.Socket, conn, nil, nil
		}
	}
	program := filepath.Join(dir, "keeper")
	if err := buildKeeper(program); err != nil {
		return "", nil, nil, err
	}
	args := []string{"-dir", dir}
	if owner := os.Getenv("ESHOP_LAB_OWNER"); owner != "" {
		args = append(args, "-owner", owner)
	}
	socket, conn, keeper, err := startKeeper(program, args)
	if err == nil {
		err = keeper.Release() // it outlives this process
	}
	return socket, conn, nil, err
}

// ownKeeper starts a keeper that ends shortly after this process. Its program is kept in the user's cache, one for each
// checkout; the go command relinks it only when its source has changed.
func ownKeeper() (string, *wire.Conn, *os.Process, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil, nil, fmt.Errorf("find the lab keeper's folder: %w", err)
	}
	module, err := moduleRoot()
	if err != nil {
		return "", nil, nil, err
	}
	dir := filepath.Join(cache, "eshop-lab", fmt.Sprintf("keeper-%x", sha256.Sum256([]byte(module)))[:24])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, nil, fmt.Errorf("make the lab keeper's folder: %w", err)
	}
	// Held until the program runs: another test binary may be about to replace it.
	lock, err := flock.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, nil, err
	}
	defer lock.Close()
	program := filepath.Join(dir, "keeper")
	if err := buildKeeper(program); err != nil {
		return "", nil, nil, err
	}
	return startKeeper(program, []string{"-idle", "2s"})
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module's root: the test runs outside of it")
		}
		dir = parent
	}
}

// buildKeeper leaves out the race detector and cgo whatever the test binary was built with: the keeper is waited for.
func buildKeeper(program string) error {
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", program, "./pkg/lab/keeper")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the lab keeper: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// startKeeper starts it in a session of its own, so that an interrupt at the terminal ends the test first and the servers
// by the closed connection. It does not inherit the test's streams: go test waits for them to be closed.
func startKeeper(program string, args []string) (string, *wire.Conn, *os.Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", nil, nil, fmt.Errorf("start the lab keeper: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Stdout = w
	ownSession(cmd)
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", nil, nil, fmt.Errorf("start the lab keeper: %w", err)
	}
	if err := r.SetReadDeadline(time.Now().Add(callLimit)); err != nil {
		return "", nil, nil, fmt.Errorf("wait for the lab keeper: %w", err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return "", nil, nil, fmt.Errorf("wait for the lab keeper: it ended without telling its socket: %w", err)
	}
	socket := strings.TrimSuffix(line, "\n")
	conn, err := hello(socket)
	return socket, conn, cmd.Process, err
}
