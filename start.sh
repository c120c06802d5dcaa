#!/usr/bin/env bash
# Boots llama-server with the model, waits until it is ready, then runs the HTTP front beside it.
# What is to run, `python -m app plan` decides; that llama-server stays up, sidecar/keeper.sh does.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: ./start.sh [--help]

Serves a reranker on RERANKER_HOST:RERANKER_PORT. Settings are environment variables:

  RERANKER_MODEL       name; picks weights/<name>/               (jina-reranker-v3)
  RERANKER_QUANT       which GGUF of that folder, such as Q8_0   (the newest)
  RERANKER_GGUF        GGUF file, instead of the folder's
  RERANKER_PROJECTOR   projector file, instead of the folder's
  RERANKER_READOUT     prefix or embedding                       (prefix)
  RERANKER_DOWNLOAD    1: download weights that are missing      (0)
  RERANKER_HOST        address to listen on                      (127.0.0.1)
  RERANKER_PORT        port to listen on                         (7998)
  RERANKER_LOG_DIR     folder for the log of llama-server        (standard error)
  RERANKER_GPU_FALLBACK
                       short of GPU memory, 1: try half the context, then the CPU;
                       0: end                                    (1)
  RERANKER_HANG_SECONDS
                       a llama-server silent for so long is started again; a front
                       silent for so long ends the service       (30)
  LLAMA_SERVER_BIN     llama-server to run                       (found on PATH, else embedded)
  LLAMA_SERVER_PORT    its port on 127.0.0.1                     (8081)
  LLAMA_SERVER_URL     a llama-server that runs already; none is started
  LLAMA_SERVER_API_KEY its key
  LLAMA_ARG_...        any option of llama-server under its documented variable

Exit status: 0 after TERM or INT, 1 if start-up fails or llama-server ends 5 times in 10 minutes,
else that of the front. docs/settings.md lists all settings.
HELP
}

HOME_DIR=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
readonly HOME_DIR LACKS_MEMORY=3 LONGEST_WAIT=60
# shellcheck source=sidecar/processes.sh
source "$HOME_DIR/sidecar/processes.sh"
# Set by $run/settings.
drain_seconds=0 fallback='' front_url='' hang_seconds='' memory_limit='' outside_url=''
front=''
# Not empty if the front was ended for its silence.
silent=''
helper=''
keepers=()
run=''

find_python() {
  if [[ -x $HOME_DIR/.venv/bin/python ]]; then
    say "$HOME_DIR/.venv/bin/python"
  else
    command -v python3 || fail "python3 is missing; install Python 3.10 or newer"
  fi
}

# Decides what to run; $1 times less is asked of the GPU.
plan() {
  local status=0
  apart "$python" -m app plan "$run" --smaller "$1"
  wait $! || status=$?
  ((status < 2)) || fail "the plan ended $(cause "$status")"
  ((status == 0)) || exit 1
  # shellcheck source=/dev/null
  source "$run/settings"
}

boot_llama_servers() {
  local folder
  keepers=()
  for folder in "$run"/servers/*/; do
    [[ -d $folder ]] || continue
    apart "$HOME_DIR/sidecar/keeper.sh" "${folder%/}"
    keepers+=($!)
  done
}

# Fails if a keeper gives up before.
wait_for_llama_servers() {
  local folder started=$SECONDS
  for folder in "$run"/servers/*/; do
    until [[ ! -d $folder || -e $folder/ready ]]; do
      until_end_of "${keepers[@]}" -- sleep 0.1 || true
      all_run "${keepers[@]}" || return 1
    done
  done
  [[ -n $outside_url ]] || return 0
  until until_end_of -- ask "$outside_url/health" '' 5; do
    ((SECONDS - started <= LONGEST_WAIT)) ||
      fail "no llama-server answers at $outside_url; start it or unset LLAMA_SERVER_URL"
    until_end_of -- sleep 0.1 || true
  done
  say "llama-server is ready!"
}

run_front() {
  # shellcheck source=/dev/null
  source "$run/front.env"
  exec "$python" -m app serve
}

start_front() {
  say "Starting uvicorn..."
  apart run_front
  front=$!
}

# Returns when the front has ended or a keeper has given up; ends a front that hangs.
watch() {
  local status
  while running "$front" && all_run "${keepers[@]}"; do
    until_end_of "$front" "${keepers[@]}" -- sleep 5 || true
    running "$front" || return 0
    status=0
    # A file: what does not depend on llama-server.
    until_end_of "$front" -- ask "$front_url/page/icon.svg" '' "$hang_seconds" || status=$?
    if ((status == TIMED_OUT)); then
      warn "uvicorn has been silent for $hang_seconds s; ending it"
      silent=1
      send KILL "$front"
    fi
  done
}

all_run() {
  local process
  for process in "$@"; do running "$process" || return 1; done
}

# What follows the end of a process: another plan if this returns, or the end of the service.
conclude() {
  local keeper status
  if [[ -n $front ]] && ! running "$front"; then
    status=0
    wait "$front" 2>/dev/null || status=$?
    # Of one that was silent the cause is told.
    [[ -n $silent ]] || warn "uvicorn ended $(cause "$status")"
    exit "$status"
  fi
  for keeper in "${keepers[@]}"; do
    running "$keeper" && continue
    status=0
    wait "$keeper" 2>/dev/null || status=$?
    ((status == LACKS_MEMORY)) || exit 1
  done
  end_all
}

# Ends the front first, so that requests under way can still finish.
end_all() {
  local process
  end "$front" "$((${drain_seconds%.*} + 2))"
  # And what has been started a moment ago.
  for process in "${keepers[@]}" $(jobs -p); do end "$process" 5; done
  front=''
}

stop() {
  trap '' TERM INT
  trap - EXIT
  kill "$helper" 2>/dev/null || true
  end_all
  [[ -z $run ]] || rm -rf "$run"
  exit "$1"
}

main() {
  local smaller=0
  case ${1:-} in
    '') ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
  trap 'stop 0' TERM INT
  trap 'stop $?' EXIT
  trap '' PIPE
  # Relative paths in settings begin where the user stands.
  export RERANKER_FOLDER=$PWD
  cd "$HOME_DIR"
  python=$(find_python)
  run=$(mktemp -d)
  while true; do
    plan "$smaller"
    [[ -z $fallback ]] || warn "llama-server lacks GPU memory, it seems; $fallback"
    boot_llama_servers
    if wait_for_llama_servers; then
      start_front
      watch
    fi
    conclude
    smaller=$((smaller + 1))
  done
}

main "$@"
