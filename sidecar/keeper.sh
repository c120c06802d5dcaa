#!/usr/bin/env bash
# Keeps one llama-server: starts it, waits until it is ready, ends it where it hangs, starts it again
# where it dies. FOLDER is a server's folder that `python -m app plan` wrote.
#
# Usage: keeper.sh FOLDER
# Exit status: 1 if it is given up, 3 if it lacks GPU memory and there is a smaller plan.
set -euo pipefail
# shellcheck source=SCRIPTDIR/processes.sh
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

readonly FOLDER=$1 LACKS_MEMORY=3
readonly LONGEST_DELAY=30 MOST_DEATHS=5 SERIES_MINUTES=10 MOST_LOG_BYTES=$((16 * 2 ** 20))
# What the makers of GPUs, and llama.cpp, say of memory that cannot be had.
readonly SHORTAGE='out.?of.?(device.?|host.?)?memory|(fail|unable).*to alloc|insufficient memory'
# Read once: who tidies up temporary folders must not end the service.
mapfile -d '' -t command <"$FOLDER/command"
# shellcheck source=/dev/null
source "$FOLDER/environment"
# An empty one is not set; llama-server would take it for a wrong number.
for name in "${!LLAMA_ARG_@}"; do [[ -n ${!name} ]] || unset "$name"; done
# Set by $FOLDER/settings.
# shellcheck disable=SC2034
directory='' hang_seconds='' key='' log='' memory_limit='' restarts='' shrinks='' url=''
# shellcheck source=/dev/null
source "$FOLDER/settings"
readonly OUTPUT=${log:-$FOLDER/output}
llama=''
tee=''
helper=''
silent=''
# Where in OUTPUT this start begins, and the part by which a death is judged.
start_at=0
judged_at=0

run_llama_server() { cd "$directory" && exec "${command[@]}"; }

start() {
  say "Starting llama-server..."
  mkdir -p "$FOLDER"
  start_at=$(size) judged_at=$start_at
  if [[ -n $log ]]; then
    apart run_llama_server >>"$log" 2>&1
  else
    : >"$OUTPUT"
    local sink
    exec {sink}> >(trap '' TERM && exec tee -ap "$OUTPUT" >&2)
    tee=$!
    apart run_llama_server >&"$sink" 2>&1
    exec {sink}>&-
  fi
  llama=$!
}

# Ends what is left of llama-server, such as children of a wrapper, and waits for its last words.
clear_up() {
  send KILL "$llama"
  local i
  for ((i = 0; i < 20; i++)); do
    running "$tee" || return 0
    sleep 0.05
  done
  kill -KILL "$tee" 2>/dev/null || true
}

# Returns when llama-server accepts our key, and nobody without it; fails if it ends before.
wait_until_ready() {
  local status
  while running "$llama"; do
    status=0
    ask_llama /props "$key" || status=$?
    if ((status == 0)) && is_ours; then
      say "llama-server is ready!"
      judged_at=$(size)
      return
    fi
    end_silent "$status"
    until_end_of "$llama" -- sleep 0.1 || true
  done
  return 1
}

# One that answers without a key is somebody else's, on the same port.
is_ours() {
  local status=0
  ask_llama /props '' || status=$?
  ((status == REFUSED)) && running "$llama"
}

ask_llama() { until_end_of "$llama" -- ask "$url$1" "$2" "$hang_seconds"; }

# Returns when llama-server has ended; ends one that hangs.
watch() {
  local status
  while running "$llama"; do
    until_end_of "$llama" -- sleep 5 || true
    limit_log
    status=0
    ask_llama /health '' || status=$?
    end_silent "$status"
  done
}

end_silent() {
  (($1 == TIMED_OUT)) && running "$llama" || return 0
  warn "llama-server has been silent for $hang_seconds s; ending it"
  silent=1
  send KILL "$llama"
}

size() { if [[ -f $OUTPUT ]]; then stat -Lc %s "$OUTPUT"; else say 0; fi; }

# Keeps the last part of a log that has grown; llama-server appends to what is left.
limit_log() {
  (($(size) > MOST_LOG_BYTES)) || return 0
  cp "$OUTPUT" "$OUTPUT.1" 2>/dev/null || true
  : >"$OUTPUT"
  start_at=0 judged_at=0
}

# The last $2 lines of llama-server from byte $1 of its log on.
lines_from() { [[ ! -f $OUTPUT ]] || tail -c "+$(($1 + 1))" "$OUTPUT" 2>/dev/null | tail -n "$2"; }

# Without a log they were shown when they were written.
show_last_lines() { [[ -z $log ]] || lines_from "$start_at" 20 >&2; }

# Pinned memory is the host's, and llama-server does without.
lacks_memory() {
  [[ $shrinks == 1 && -z $silent && $1 != 137 ]] &&
    lines_from "$judged_at" 200 | grep -iv pinned | grep -iE "$SHORTAGE" >/dev/null
}

# Tells why llama-server ended; ends this keeper where another start is no use.
bury() {
  local status=0 why death recent=()
  wait "$llama" 2>/dev/null || status=$?
  clear_up
  why="llama-server ended $(cause "$status")"
  [[ -z $silent ]] || why="llama-server was silent for $hang_seconds s and was ended"
  if lacks_memory "$status"; then
    show_last_lines
    exit "$LACKS_MEMORY"
  fi
  for death in "${deaths[@]}"; do
    ((SECONDS - death > 60 * SERIES_MINUTES)) || recent+=("$death")
  done
  deaths=("${recent[@]}" "$SECONDS")
  if [[ -z $was_ready ]]; then
    show_last_lines
    fail "llama-server ended before it was ready, see above: $why"
  elif ((${#deaths[@]} >= MOST_DEATHS)); then
    show_last_lines
    fail "llama-server ended $MOST_DEATHS times in $SERIES_MINUTES minutes, see above: $why"
  fi
  warn "$why"
  silent=''
}

stop() {
  trap '' TERM
  kill "$helper" 2>/dev/null || true
  end "$llama" 2
  clear_up
  exit "$1"
}

main() {
  local delay=1 started
  deaths=() was_ready=''
  trap 'stop 0' TERM
  trap '' INT PIPE
  while true; do
    started=$SECONDS
    start
    if wait_until_ready; then
      was_ready=1
      : >"$FOLDER/ready" || true
      watch
    fi
    bury
    ((SECONDS - started > LONGEST_DELAY)) && delay=1
    warn "starting llama-server again in $delay s"
    echo restart >>"$restarts" || true
    until_end_of -- sleep "$delay" || true
    delay=$((delay * 2 > LONGEST_DELAY ? LONGEST_DELAY : delay * 2))
  done
}

main
