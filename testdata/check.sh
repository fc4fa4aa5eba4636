#!/usr/bin/env bash
# The whole check of this repository: bash testdata/check.sh. It installs the real servers when they are missing (root is
# needed for that only), starts them for the tests and ends them. Package patterns as arguments narrow the checks of Go code.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=("$@")
if [ "${#packages[@]}" -eq 0 ]; then packages=(./...); fi

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

# All test binaries share one set of real servers through this directory; its keeper ends with this script in any case.
lab=$(mktemp -d "${TMPDIR:-/tmp}/eshop-check.XXXXXX")
finish() {
  local code=$?
  if [ -x "$lab/keeper" ]; then "$lab/keeper" -dir "$lab" -quit || true; fi
  rm -rf "$lab"
  if [ "$code" -eq 0 ]; then say "all good"; else say "FAILED"; fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export ESHOP_LAB_DIR=$lab ESHOP_LAB_OWNER=$$ ESHOP_TEST_STRICT=1

say "real servers"
bash testdata/lab-setup.sh

say "gofmt"
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  echo "not formatted:"
  echo "$unformatted"
  exit 1
fi

say "go vet"
go vet "${packages[@]}" ./testdata/testreport

say "staticcheck"
go tool staticcheck "${packages[@]}" ./testdata/testreport

say "go mod tidy -diff"
go mod tidy -diff

say "govulncheck"
govulncheck=$(go tool -n govulncheck)
code=0
timeout 30 "$govulncheck" "${packages[@]}" >"$lab/vulnerabilities" 2>&1 || code=$?
case $code in
  0) ;;
  3)
    cat "$lab/vulnerabilities"
    exit 1
    ;;
  *) echo "govulncheck not done, its data cannot be reached: $(tail -n 1 "$lab/vulnerabilities" | cut -c 1-150)" ;;
esac

for target in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do
  say "build for $target"
  CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} go build -o /dev/null "${packages[@]}"
done

say "tests, with the race detector, on embedded and real servers"
go build -o "$lab/testreport" ./testdata/testreport
mapfile -t listed < <(go list "${packages[@]}")
mapfile -t raced < <(printf '%s\n' "${listed[@]}" | grep -v '/roles/fault$')
if [ "${#raced[@]}" -gt 0 ]; then go test -json -race -shuffle=on -timeout 25m "${raced[@]}" | "$lab/testreport" -strict; fi

# Without the race detector: it would slow down for nothing what has no concurrency, and make processes late and large
# that are judged by how soon they act and how much memory they need.
for package in "${listed[@]}"; do
  case $package in
    */pkg/simulation)
      say "20,000 schedules of the protocol's simulation"
      go test -run '^TestSchedules$' "$package"
      ;;
    */roles/fault)
      say "fault suite, short form"
      go test -json -timeout 12m "$package" | "$lab/testreport" -strict
      ;;
  esac
done

# Only packages that have such functions are built once more without the race detector.
packages_with() {
  local dir file
  go list -f '{{.Dir}}' "${packages[@]}" | while read -r dir; do
    for file in "$dir"/*_test.go; do
      if [ -e "$file" ] && grep -q "^func $1" "$file"; then
        echo "./${dir#"$PWD"/}"
        break
      fi
    done
  done
}

# By count, not by time: a target that is stopped by the clock in the middle of an execution is reported as failed.
say "fuzz targets, 5,000 executions each"
mapfile -t fuzzed < <(packages_with Fuzz)
for package in "${fuzzed[@]}"; do
  targets=$(go test -list '^Fuzz' "$package")
  while read -r target; do
    case $target in
      Fuzz*)
        say "$package $target"
        go test -run '^$' -fuzz "^$target\$" -fuzztime 5000x "$package" >"$lab/fuzz" 2>&1 || {
          cat "$lab/fuzz"
          exit 1
        }
        ;;
    esac
  done <<<"$targets"
done

say "benchmarks, once each"
mapfile -t measured < <(packages_with Benchmark)
if [ "${#measured[@]}" -gt 0 ]; then
  go test -run '^$' -bench . -benchtime 1x -benchmem "${measured[@]}"
fi
