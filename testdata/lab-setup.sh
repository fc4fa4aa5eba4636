#!/usr/bin/env bash
# Installs what pkg/lab starts: Redis, ZooKeeper, a Java runtime (Debian packages) and Kafka (jars from Maven
# Central, kept in the user's cache folder), the browser that the tests of pages drive, and what checks the systemd
# units, the alert rules, the README's commands and the OpenAPI document (from PyPI, in the same folder). Does nothing, in
# well under a second, when all is there.
set -euo pipefail

kafka_version=3.9.2
cache_dir="${XDG_CACHE_HOME:-$HOME/.cache}/eshop-lab"
kafka_dir="$cache_dir/kafka-$kafka_version"
schemathesis_version=4.32.5
schemathesis_dir="$cache_dir/schemathesis-$schemathesis_version"

say() { echo "lab-setup: $*"; }

missing_packages() {
  command -v redis-server >/dev/null || echo redis-server
  command -v redis-cli >/dev/null || echo redis-tools
  command -v java >/dev/null || echo default-jre-headless
  command -v chromium >/dev/null || echo chromium
  command -v promtool >/dev/null || echo prometheus # its checker of rules
  command -v systemd-analyze >/dev/null || echo systemd
  command -v curl >/dev/null || echo curl # this and the next two for the README's commands
  command -v kcat >/dev/null || echo kcat
  command -v ip >/dev/null || echo iproute2
  if [ ! -e "$schemathesis_dir/.complete" ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  fi
  [ -e /usr/share/java/zookeeper.jar ] || printf '%s\n' libzookeeper-java zookeeper
  if [ ! -e "$kafka_dir/.complete" ]; then
    command -v mvn >/dev/null || echo maven
  fi
}

# Debian starts a service when its package is installed; policy-rc.d with exit code 101 forbids that.
# A policy file that is there already is left alone.
policy=/usr/sbin/policy-rc.d
policy_written=no
forbid_service_start() {
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    policy_written=yes
  fi
}
staging=
pom_dir=
trial_dir=
trial_pid=
clean_up() {
  if [ -n "$trial_pid" ]; then kill -9 "$trial_pid" 2>/dev/null || true; fi
  if [ -n "$trial_dir" ]; then rm -rf "$trial_dir"; fi
  if [ "$policy_written" = yes ]; then rm -f "$policy"; fi
  if [ -n "$pom_dir" ]; then rm -rf "$pom_dir"; fi
  if [ -n "$staging" ]; then rm -rf "$staging"; fi
}
trap clean_up EXIT

install_packages() {
  local packages
  mapfile -t packages < <(missing_packages)
  if [ "${#packages[@]}" -eq 0 ]; then
    say "packages: all present"
    return
  fi
  if ! command -v apt-get >/dev/null; then
    say "missing: ${packages[*]}; this machine has no apt-get, install them by hand" >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    say "missing: ${packages[*]}; run this script as root to install them" >&2
    exit 1
  fi
  local log
  log=$(mktemp)
  forbid_service_start
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "installing ${packages[*]} failed" >&2
    exit 1
  fi
  rm -f "$log"
  say "packages: installed ${packages[*]}"
}

# The jars are copied next to their final place and moved in one step, so a broken download is never taken for Kafka.
fetch_kafka() {
  if [ -e "$kafka_dir/.complete" ]; then
    say "kafka $kafka_version: present in $kafka_dir"
    return
  fi
  pom_dir=$(mktemp -d)
  mkdir -p "$(dirname "$kafka_dir")"
  staging=$(mktemp -d "$kafka_dir.XXXXXX")
  cat >"$pom_dir/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lab</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  if ! mvn -q -B -f "$pom_dir/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$staging" -DincludeScope=runtime </dev/null >"$pom_dir/log" 2>&1; then
    tail -n 20 "$pom_dir/log" >&2
    say "fetching Kafka $kafka_version from Maven failed" >&2
    exit 1
  fi
  touch "$staging/.complete"
  chmod 755 "$staging"
  rm -rf "$kafka_dir"
  mv -T "$staging" "$kafka_dir"
  staging=
  say "kafka $kafka_version: fetched $(find "$kafka_dir" -name '*.jar' | wc -l) jars into $kafka_dir"
}

# One broker is started once and stopped. It leaves what makes later starts cheap: the archive of its loaded classes,
# which halves a broker's start, and the first metadata of a formatted storage, which saves a JVM for each. Both are
# optional: a machine where this fails starts Kafka the slow way.
warm_kafka() {
  local warm="$kafka_dir/warm"
  if [ -d "$warm" ]; then return; fi
  trial_dir=$(mktemp -d)
  local port=$((20000 + RANDOM % 10000)) class_path began=$SECONDS
  class_path=$(cd "$kafka_dir" && LC_ALL=C && printf "$kafka_dir/%s:" *.jar)
  class_path=${class_path%:}
  cat >"$trial_dir/server.properties" <<SETTINGS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$trial_dir/data
offsets.topic.replication.factor=1
SETTINGS
  local java=(java -Xmx384m -Xms128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
  mkdir "$trial_dir/warm"
  if "${java[@]}" -cp "$class_path" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAA -c "$trial_dir/server.properties" >"$trial_dir/log" 2>&1; then
    cp "$trial_dir/data/bootstrap.checkpoint" "$trial_dir/warm/" || true
    "${java[@]}" "-XX:ArchiveClassesAtExit=$trial_dir/warm/classes.jsa" -cp "$class_path" kafka.Kafka "$trial_dir/server.properties" </dev/null >"$trial_dir/log" 2>&1 &
    trial_pid=$!
    until (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
      if ! kill -0 "$trial_pid" 2>/dev/null || [ $((SECONDS - began)) -gt 60 ]; then break; fi
      sleep 0.1
    done
    kill "$trial_pid" 2>/dev/null || true
    wait "$trial_pid" || true
    trial_pid=
  fi
  if [ -s "$trial_dir/warm/classes.jsa" ]; then
    staging=$(mktemp -d "$kafka_dir.XXXXXX")
    cp "$trial_dir/warm/"* "$staging/"
    mv -T "$staging" "$warm"
    staging=
    say "kafka $kafka_version: class archive made for faster starts"
  else
    say "kafka $kafka_version: no class archive could be made, starts will be slower"
  fi
}

# A virtual environment names its own place, so it is made there and marked when it is whole.
fetch_schemathesis() {
  if [ -e "$schemathesis_dir/.complete" ]; then
    say "schemathesis $schemathesis_version: present in $schemathesis_dir"
    return
  fi
  rm -rf "$schemathesis_dir"
  mkdir -p "$cache_dir"
  local log
  log=$(mktemp)
  if ! { python3 -m venv "$schemathesis_dir" && "$schemathesis_dir/bin/pip" install --disable-pip-version-check --no-input \
    "schemathesis==$schemathesis_version" "openapi-spec-validator==0.9.0"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -rf "$log" "$schemathesis_dir"
    say "installing schemathesis $schemathesis_version from PyPI failed" >&2
    exit 1
  fi
  rm -f "$log"
  touch "$schemathesis_dir/.complete"
  say "schemathesis $schemathesis_version: installed in $schemathesis_dir"
}

install_packages
fetch_kafka
warm_kafka
fetch_schemathesis
