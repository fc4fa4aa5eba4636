#!/usr/bin/env bash
# Installs what pkg/lab starts: Redis, ZooKeeper, a Java runtime (Debian packages) and Kafka (jars from Maven
# Central, kept in the user's cache folder). Does nothing, in well under a second, when all is there.
set -euo pipefail

kafka_version=3.9.2
kafka_dir="${XDG_CACHE_HOME:-$HOME/.cache}/eshop-lab/kafka-$kafka_version"

say() { echo "lab-setup: $*"; }

missing_packages() {
  command -v redis-server >/dev/null || echo redis-server
  command -v redis-cli >/dev/null || echo redis-tools
  command -v java >/dev/null || echo default-jre-headless
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
clean_up() {
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

install_packages
fetch_kafka
