package guide_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// block is what stands between two fences.
type block struct {
	where string   // its first line if that is a comment, without the #
	text  string   // what a shell runs
	open  []string // the links before it, which a reader opens in a browser
}

// blocks returns those of the README's sections that a shell runs, in their order.
func blocks(t *testing.T, sections ...string) (all []block) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range sections {
		_, rest, found := strings.Cut(string(readme), "\n## "+section+"\n")
		if !found {
			t.Fatalf("README.md has no section %q", section)
		}
		rest, _, _ = strings.Cut(rest, "\n## ")
		for {
			prose, after, more := strings.Cut(rest, "\n```sh\n")
			if !more {
				break
			}
			text, after, closed := strings.Cut(after, "\n```\n")
			if !closed {
				t.Fatalf("a block of the section %q has no end", section)
			}
			b := block{text: text}
			for _, part := range strings.Split(prose, "<http://")[1:] {
				link, _, _ := strings.Cut(part, ">")
				b.open = append(b.open, "http://"+link)
			}
			if first, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "# ") {
				b.where = first[2:]
			}
			all = append(all, b)
			rest = "\n" + after
		}
	}
	return all
}

// machine is where blocks are run.
type machine struct {
	dir     string
	env     []string
	wrapped []string // the words before bash
}

// start runs a block; the shell ends with the last of what it started.
func (m machine) start(t *testing.T, text string) *lab.Process {
	t.Helper()
	words := append(append([]string(nil), m.wrapped...), "bash", "-euo", "pipefail", "-c", text+"\nwait")
	return lab.Start(t, lab.Command{Path: words[0], Args: words[1:], Dir: m.dir, Env: m.env})
}

// run runs a block to its end and returns what it wrote.
func (m machine) run(t *testing.T, text string) string {
	t.Helper()
	return finish(t, text, time.Now(), m.start(t, text))
}

// finish waits for the end of a block that began at a time.
func finish(t *testing.T, text string, began time.Time, p *lab.Process) string {
	t.Helper()
	if code := p.Wait(10 * time.Minute); code != 0 {
		t.Fatalf("code %d of\n%s\n%s%s", code, text, p.Stdout(), p.Stderr())
	}
	t.Logf("%5.1f s  %s", time.Since(began).Seconds(), strings.ReplaceAll(text, "\n", "\n         "))
	return p.Stdout()
}

// sources copies the repository, so that nothing is built into it.
func sources(t *testing.T) string {
	t.Helper()
	root, dir := os.DirFS("../.."), filepath.Join(t.TempDir(), "eshop")
	if err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(path, ".") && path != ".":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		case !d.Type().IsRegular() || path == "eshop":
			return nil
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), text, 0o644)
	}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// alone returns the words that run a command in a network of its own; none where that is not allowed.
func alone(t *testing.T) []string {
	t.Helper()
	open := []string{"unshare", "--net"}
	enter := []string{"nsenter", "--net=/proc/%d/ns/net"}
	if os.Getuid() != 0 {
		open, enter = append(open, "--map-root-user"), append(enter, "--user=/proc/%d/ns/user", "--preserve-credentials")
	}
	if out, err := exec.CommandContext(t.Context(), open[0], append(open[1:], "ip", "link", "set", "lo", "up")...).CombinedOutput(); err != nil {
		t.Logf("no network of its own for the tour, it takes this machine's ports: %v: %s", err, out)
		return nil
	}
	holder := lab.Start(t, lab.Command{Path: open[0], Args: append(open[1:], "bash", "-c", "ip link set lo up && echo up && exec sleep infinity")})
	holder.WaitOutput("up", 10*time.Second)
	for i, word := range enter {
		if strings.Contains(word, "%d") {
			enter[i] = fmt.Sprintf(word, holder.Pid())
		}
	}
	return enter
}
