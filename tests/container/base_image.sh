#!/usr/bin/env bash
# Makes a stand-in for the official image of llama.cpp, unless an image has its name already:
# Debian without Python, curl, and in /app a llama-server with its libraries beside it, which is
# the embedded one frozen with PyInstaller.
# Usage: base_image.sh CACHE_FOLDER
set -euo pipefail
cache=$(realpath "$1")
cd "$(dirname "$0")/../.."
# shellcheck source=tests/container/mirror.sh
source tests/container/mirror.sh
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
build=$(sed -nE 's/^ARG BASE_IMAGE=.*-(b[0-9]+)$/\1/p' Dockerfile)
repository=$(sed -nE 's/^ARG BASE_IMAGE=(.*):.*/\1/p' Dockerfile)
variants=(server-cuda server server-vulkan server-rocm)
# What the stand-in is made of: another one is made when that changes.
version=$(cat models/llama/embedded.py tests/container/{requirements.txt,base_image.sh} | sha256sum)
version=${version:0:12}
cache=$cache/$version

# The official images, or stand-ins of this version.
have_all() {
  local variant label
  for variant in "${variants[@]}"; do
    label=$(docker image inspect --format '{{ index .Config.Labels "stand-in" }}' \
      "$repository:$variant-$build" 2>/dev/null) || return 1
    [[ -z $label || $label == "$version" ]] || return 1
  done
}

freeze_llama_server() {
  [[ ! -d $cache/llama-server ]] || return 0
  echo "Freezing llama-server..."
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q -r tests/container/requirements.txt
  "$cache/venv/bin/pyinstaller" --log-level ERROR --noconfirm --name llama-server \
    --contents-directory lib --collect-all xllamacpp --distpath "$cache" \
    --workpath "$cache/work" --specpath "$cache" models/llama/embedded.py
}

make_root() {
  [[ ! -f $cache/root.tar ]] || return 0
  command -v debootstrap >/dev/null ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
  echo "Making a $codename system..."
  local root
  root=$(mktemp -d)
  # Without a mirror in apt's sources, debootstrap knows one.
  # shellcheck disable=SC2046
  debootstrap --variant=minbase --include=ca-certificates,curl "$codename" "$root" $(mirror) \
    >"$cache/debootstrap.log"
  # The host may reach its registries through certificates and sources of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp -r /etc/apt/sources.list* "$root/etc/apt/"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  mkdir "$root/app"
  cp -r "$cache/llama-server/." "$root/app/"
  tar -C "$root" -c . >"$cache/root.tar"
  rm -r "$root"
}

have_all && exit
mkdir -p "$cache"
freeze_llama_server
make_root
# What the official image sets and ours must replace is set here too.
id=$(docker import \
  --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
  --change 'ENV LLAMA_ARG_HOST=0.0.0.0' \
  --change 'HEALTHCHECK CMD ["curl", "-f", "http://localhost:8080/health"]' \
  --change "LABEL stand-in=$version" \
  --change 'WORKDIR /app' \
  --change 'ENTRYPOINT ["/app/llama-server"]' \
  "$cache/root.tar")
for variant in "${variants[@]}"; do
  docker tag "$id" "$repository:$variant-$build"
done
