package roles

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// schemathesis is the folder of the tool's virtual environment, which testdata/lab-setup.sh makes.
func schemathesis(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err == nil {
		dir := filepath.Join(cache, "eshop-lab", "schemathesis-4.32.5")
		if _, err = os.Stat(filepath.Join(dir, ".complete")); err == nil {
			return filepath.Join(dir, "bin")
		}
	}
	if os.Getenv("ESHOP_TEST_STRICT") == "1" {
		t.Fatalf("there is no schemathesis; testdata/lab-setup.sh installs it: %v", err)
	}
	t.Skipf("there is no schemathesis; testdata/lab-setup.sh installs it: %v", err)
	return ""
}

// TestOpenAPI: the document is valid OpenAPI 3.1, and the server does what it says, and nothing else, whatever is asked:
// schemathesis makes up requests, right and wrong ones, and holds statuses, types, headers and bodies against it.
func TestOpenAPI(t *testing.T) {
	bin := schemathesis(t)
	r := start(t, anyPort("--gateway.unknown-burst=1000000")...)
	defer r.stop()
	gateway := strings.TrimSuffix(r.addresses["product pages"], "/product?productId=1")
	run := func(limit time.Duration, program string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("its time is up"))
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "NO_COLOR=1", "COLUMNS=200", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v %v\n%s", program, strings.Join(args, " "), err, context.Cause(ctx), out)
		}
		return string(out)
	}
	_, document := r.do("GET", gateway+"/api/v1/openapi.json", "")
	file := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	run(2*time.Minute, "openapi-spec-validator", file)

	// The examples are the same in each run. On a quiet machine they take some seconds.
	said := run(5*time.Minute, "schemathesis", "run", gateway+"/api/v1/openapi.json", "--checks=all", "--phases=examples,coverage,fuzzing",
		"--max-examples=10", "--seed=1", "--continue-on-failure", "--request-timeout=20", "--suppress-health-check=all", "--warnings=off")
	tested := regexp.MustCompile(`(\d+) generated, (\d+) passed`).FindStringSubmatch(said)
	if tested == nil {
		t.Fatalf("it does not say what it has tested:\n%s", said)
	}
	if n, _ := strconv.Atoi(tested[1]); n < 200 || tested[1] != tested[2] {
		t.Errorf("%s:\n%s", tested[0], said)
	}
}
