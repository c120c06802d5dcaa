# shellcheck shell=bash
# Processes and how they end: what start.sh and keeper.sh share.

# What curl returns for a server that is silent, and for one that refuses.
# shellcheck disable=SC2034
readonly TIMED_OUT=28 REFUSED=22

# Nobody who reads, or a full disk, must not end the service.
say() { printf '%s\n' "$*" 2>/dev/null || true; }

warn() { say "$@" >&2; }

fail() {
  warn "start.sh: $*"
  exit 1
}

running() { [[ -n $1 ]] && kill -0 "$1" 2>/dev/null; }

# Starts a command as a group of its own, which `end` ends with all its children; its id is $!.
apart() {
  set -m
  "$@" </dev/null &
  set +m
}

# Runs the command behind `--` until it ends, or one of the processes before it does. Returns the
# status of the first that ended. Lets a signal through at once, unlike the command alone.
until_end_of() {
  local others=() status=0
  while [[ $1 != -- ]]; do
    others+=("$1")
    shift
  done
  shift
  "$@" &
  helper=$!
  # One that ended before is no job any more.
  wait -n "$helper" "${others[@]}" 2>/dev/null || status=$?
  kill "$helper" 2>/dev/null || true
  return "$status"
}

# Ends process $1 and its children, the hard way after $2 seconds.
end() {
  running "$1" || return 0
  local i
  send TERM "$1"
  for ((i = 0; i < 20 * $2; i++)); do
    running "$1" || break
    sleep 0.05
  done
  send KILL "$1"
}

# Sends signal $1 to the group that $2 leads.
send() { kill "-$1" -- "-$2" 2>/dev/null || true; }

# What status $1 tells about a death.
cause() {
  if (($1 == 137)); then
    say "with status 137: killed, probably for the memory limit of ${memory_limit:-this machine}"
  else
    say "with status $1"
  fi
}

# Becomes curl, which asks the URL $1 with the key $2, if any, for at most $3 seconds. The key is
# on no command line, and never goes through a proxy.
ask() {
  exec curl -fs --config - -o /dev/null --noproxy '*' --max-time "$3" "$1" \
    <<<"${2:+header = \"Authorization: Bearer $2\"}"
}
