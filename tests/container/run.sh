#!/usr/bin/env bash
# Runs the container tests: finds or starts a Docker engine and Compose, makes what stands in for
# the base image, and hands over to pytest. Exit status 77 where no engine can run.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/container/mirror.sh
source tests/container/mirror.sh
readonly CACHE=tests/container/.cache
mkdir -p "$CACHE"

no_engine() {
  printf 'tests/container/run.sh: %s. No container was tested.\n' "$*" >&2
  exit 77
}

install_packages() {
  command -v apt-get >/dev/null && [[ $EUID == 0 ]] || return 1
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_engine() {
  ! docker info >/dev/null 2>&1 || return 0
  command -v dockerd >/dev/null || install_packages docker.io iptables ||
    no_engine "no Docker engine runs, and none can be installed here"
  local log=$CACHE/dockerd.log
  dockerd >"$log" 2>&1 &
  engine=$!
  trap '{ kill "$engine" && wait "$engine"; } 2>/dev/null || true' EXIT
  until docker info >/dev/null 2>&1; do
    kill -0 "$engine" 2>/dev/null || no_engine "dockerd does not run here: $(tail -n 1 "$log")"
    sleep 0.2
  done
}

# The test's compose file needs `!override`; Debian 12 has version 1 and Debian 13 a newer one.
find_compose() {
  ! docker compose version --short 2>/dev/null | grep -qE '^v?(2\.(2[4-9]|[3-9][0-9])|[3-9])' ||
    return 0
  export DOCKER_CONFIG=$PWD/$CACHE/docker
  local plugin=$DOCKER_CONFIG/cli-plugins/docker-compose folder
  [[ ! -x $plugin ]] || return 0
  folder=$(mktemp -d)
  mkdir -p "${plugin%/*}" "$folder/lists/partial"
  echo "deb $(mirror) trixie main" >"$folder/sources"
  local options=(-qq -o "Dir::Etc::sourcelist=$folder/sources" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$folder/lists")
  (apt-get "${options[@]}" update && cd "$folder" && apt-get "${options[@]}" download docker-compose &&
    dpkg -x docker-compose_*.deb .) || no_engine "Compose 2.24 cannot be had"
  find "$folder" -name docker-compose -type f -perm -1 -exec mv {} "$plugin" \;
  rm -r "$folder"
}

find_engine
find_compose
tests/container/base_image.sh "$CACHE"
.venv/bin/python -m pytest tests/container "$@"
