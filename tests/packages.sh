#!/usr/bin/env bash
# Installs those of the named Debian packages that are missing, where it may; else says which.
# Usage: packages.sh PACKAGE...; PYTHON names the Python that needs them.
set -euo pipefail
python=${PYTHON:-python3}

is_there() {
  case $1 in
    faketime) compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null ;;
    libgomp1) "$python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null ;;
    python3-venv) "$python" -c 'import ensurepip, venv' 2>/dev/null ;;
    systemd) command -v systemd-analyze >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# Sets `missing`.
find_missing() {
  local package
  missing=()
  for package in "$@"; do
    is_there "$package" || missing+=("$package")
  done
}

find_missing "$@"
[[ ${#missing[@]} != 0 ]] || exit 0
if [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
  echo "Installing ${missing[*]}..."
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } ||
    true
  find_missing "$@"
fi
[[ ${#missing[@]} == 0 ]] ||
  echo "Missing, and not installed from here: ${missing[*]} (apt-get install ${missing[*]}, as root)" >&2
