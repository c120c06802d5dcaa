#!/usr/bin/env bash
# Boots llama-server with the model, waits until it is ready, then runs the HTTP front beside it.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: ./start.sh [--help]

Serves a reranker on RERANKER_HOST:RERANKER_PORT. Settings are environment variables:

  RERANKER_MODEL       name; picks weights/<name>/               (jina-reranker-v3)
  RERANKER_QUANT       which GGUF of that folder, such as Q8_0   (the newest)
  RERANKER_GGUF        GGUF file, instead of the folder's
  RERANKER_PROJECTOR   projector file, instead of the folder's
  RERANKER_READOUT     prefix or embedding, see README.md        (prefix)
  RERANKER_DOWNLOAD    1: download weights that are missing      (0)
  RERANKER_HOST        address to listen on                      (127.0.0.1)
  RERANKER_PORT        port to listen on                         (7998)
  RERANKER_LOG_DIR     folder for the log of llama-server        (standard error)
  RERANKER_GPU_FALLBACK
                       short of GPU memory, 1: try half the context, then the CPU;
                       0: end                                    (1)
  RERANKER_HANG_SECONDS
                       a llama-server silent for so long is started again  (30)
  LLAMA_SERVER_BIN     llama-server to run                       (found on PATH, else embedded)
  LLAMA_SERVER_PORT    its port on 127.0.0.1                     (8081)
  LLAMA_SERVER_URL     a llama-server that runs already; none is started
  LLAMA_ARG_...        any option of llama-server under its documented variable

Exit status: 0 after TERM or INT, 1 if start-up fails, else that of the front.
README.md lists the settings of the front.
HELP
}

HOME_DIR=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
readonly HOME_DIR
# The defaults and choices from here on are those that app/doctor checks: keep them alike.
readonly MODEL=${RERANKER_MODEL:-jina-reranker-v3}
readonly HOST=${RERANKER_HOST:-127.0.0.1} PORT=${RERANKER_PORT:-7998}
readonly READOUT=${RERANKER_READOUT:-prefix}
readonly LLAMA_PORT=${LLAMA_SERVER_PORT:-8081}
readonly HANG_SECONDS=${RERANKER_HANG_SECONDS:-30}
readonly CURL_TIMED_OUT=28 LONGEST_DELAY=30 LONGEST_WAIT=60
# Tokens of a slot: room for the longest query and document.
readonly LEAST_CONTEXT=4096
front=''
llama=''
helper=''
device=${RERANKER_DEVICE:-unknown}
fallback=''
restarts=''

# A full disk must not end the service.
say() { printf '%s\n' "$*" || true; }

fail() {
  printf 'start.sh: %s\n' "$*" >&2
  exit 1
}

find_python() {
  if [[ -x $HOME_DIR/.venv/bin/python ]]; then
    say "$HOME_DIR/.venv/bin/python"
  else
    command -v python3 || fail "python3 is missing; install Python 3.10 or newer"
  fi
}

newest_gguf() {
  local file newest=''
  for file in "weights/$MODEL"/*"${RERANKER_QUANT:-}".gguf; do
    # Prepared copies stand beside their sources.
    [[ $file == *.prefix.gguf || $newest -nt $file ]] || newest=$file
  done
  [[ ! -f $newest ]] || say "$newest"
}

find_weights() {
  [[ $MODEL =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
    fail "RERANKER_MODEL is a name such as jina-reranker-v3, not '$MODEL'"
  local download=(models.download "$MODEL" ${RERANKER_QUANT:+--quant "$RERANKER_QUANT"})
  gguf=${RERANKER_GGUF:-$(newest_gguf)}
  projector=${RERANKER_PROJECTOR:-weights/$MODEL/projector.safetensors}
  if [[ ${RERANKER_DOWNLOAD:-0} == 1 && ! (-f $gguf && -f $projector) ]]; then
    "$python" -m "${download[@]}" || fail "the weights could not be downloaded"
    gguf=${RERANKER_GGUF:-$(newest_gguf)}
  fi
  [[ -f $projector && (-n ${LLAMA_SERVER_URL:-} || -f $gguf) ]] || fail "no weights:" \
    "${gguf:-weights/$MODEL/*${RERANKER_QUANT:-}.gguf} or $projector is missing. Get them with:
  python -m ${download[*]}"
}

find_llama_server() {
  if [[ -n ${LLAMA_SERVER_BIN:-} ]]; then
    server=("$LLAMA_SERVER_BIN")
    command -v "$LLAMA_SERVER_BIN" >/dev/null || fail "LLAMA_SERVER_BIN=$LLAMA_SERVER_BIN cannot be run"
  elif command -v llama-server >/dev/null; then
    server=(llama-server)
  elif [[ -x /app/llama-server ]]; then
    server=(/app/llama-server)
  elif "$python" -c 'import xllamacpp' 2>/dev/null; then
    server=("$python" -m models.embedded_server)
  else
    fail "no llama-server found. Install llama.cpp and put llama-server on the PATH or in" \
      "LLAMA_SERVER_BIN, or install the embedded one: pip install xllamacpp"
  fi
}

find_device() {
  device=$("${server[@]}" --list-devices 2>/dev/null |
    sed -nE 's/^ +([A-Za-z]+)[0-9]*: .*/\L\1/p' | head -n 1) || true
  if [[ -z $device || ${LLAMA_ARG_N_GPU_LAYERS:-} == 0 || ${LLAMA_ARG_DEVICE:-} == none ]]; then
    device=cpu
  fi
}

check_port() {
  if (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; then
    fail "port $2 on $1 is in use; stop what listens there or set $3"
  fi
}

prepare_readout() {
  [[ $READOUT == prefix ]] || return 0
  gguf=$("$python" -m models.prepare "$gguf") || fail "the GGUF could not be prepared for the" \
    "prefix readout, see above; RERANKER_READOUT=embedding does without"
}

choose_context() {
  slots=1 context=4096
  if [[ $READOUT == prefix ]]; then
    # A GPU has idle moments between the calls of one request that another can use.
    [[ $device == cpu ]] || slots=2
    context=$((16384 * ${LLAMA_ARG_N_PARALLEL:-$slots}))
  fi
  slots=${LLAMA_ARG_N_PARALLEL:-$slots} context=${LLAMA_ARG_CTX_SIZE:-$context}
}

start_llama_server() {
  local command=("${server[@]}" --model "$gguf" --host 127.0.0.1 --port "$LLAMA_PORT"
    -ngl "${LLAMA_ARG_N_GPU_LAYERS:-99}" --ctx-size "$context" --parallel "$slots"
    --verbosity "${LLAMA_ARG_LOG_VERBOSITY:-2}")
  if [[ $READOUT == embedding ]]; then
    # A whole prompt must fit one physical batch.
    command+=(--embeddings --pooling none --batch-size "${LLAMA_ARG_BATCH:-$context}"
      --ubatch-size "${LLAMA_ARG_UBATCH:-$context}")
  else
    command+=(--cache-ram "${LLAMA_ARG_CACHE_RAM:-0}")
  fi
  # On a CPU flash attention is slower, and its rounding moves scores by percents.
  [[ $device != cpu ]] || command+=(--flash-attn "${LLAMA_ARG_FLASH_ATTN:-off}")
  say "Starting llama-server..."
  if [[ -n ${RERANKER_LOG_DIR:-} ]]; then
    "${command[@]}" >>"$RERANKER_LOG_DIR/llama-server.log" 2>&1 &
  else
    "${command[@]}" >&2 &
  fi
  llama=$!
}

show_log() { [[ -z ${RERANKER_LOG_DIR:-} ]] || tail -n 20 "$RERANKER_LOG_DIR/llama-server.log" >&2; }

# Without a log to read, any death at the start counts.
ran_out_of_memory() {
  [[ -z ${RERANKER_LOG_DIR:-} ]] || show_log 2>&1 | grep -iE 'out of ?memory|to allocate' >/dev/null
}

# Asks less of the GPU, then nothing; fails where that is no help or not wanted.
ask_less() {
  [[ $device != cpu && ${RERANKER_GPU_FALLBACK:-1} == 1 ]] && ran_out_of_memory || return 1
  if [[ -z $fallback ]] && ((context / 2 >= LEAST_CONTEXT * slots)); then
    fallback="the context is halved to $((context /= 2)) tokens"
  else
    # Without layers there llama.cpp still sends large batches to a device that it may use.
    export LLAMA_ARG_N_GPU_LAYERS=0 LLAMA_ARG_DEVICE=none
    device=cpu
    choose_context
    fallback="the CPU is used"
  fi
  say "llama-server ended before it was ready, for lack of GPU memory it seems; $fallback" >&2
}

is_healthy() { curl -fsS -o /dev/null --max-time 5 "$LLAMA_SERVER_URL/health" 2>/dev/null; }

wait_for_llama_server() {
  local started=$SECONDS
  until is_healthy; do
    if [[ -n $llama ]]; then
      running "$llama" || start_with_less
    elif ((SECONDS - started > LONGEST_WAIT)); then
      fail "no llama-server answers at $LLAMA_SERVER_URL; start it or unset LLAMA_SERVER_URL"
    fi
    pause 0.1
  done
  say "llama-server is ready!"
}

start_with_less() {
  ask_less || { show_log && fail "llama-server ended before it was ready, see above"; }
  start_llama_server
}

start_front() {
  say "Starting uvicorn..."
  "$python" -m app serve --host "$HOST" --port "$PORT" &
  front=$!
}

running() { kill -0 "$1" 2>/dev/null; }

# Unlike sleep alone, lets a signal through at once.
pause() {
  sleep "$1" &
  wait $! || true
}

# Runs a command until it, the front or llama-server ends; the status of the first one.
meanwhile() {
  local status=0
  "$@" &
  helper=$!
  # One that ended before is no job any more. $llama is empty where llama-server is not ours.
  # shellcheck disable=SC2086
  wait -n "$front" $llama "$helper" 2>/dev/null || status=$?
  kill "$helper" 2>/dev/null || true
  return "$status"
}

# Returns when the front or llama-server has ended; ends a llama-server that hangs.
watch() {
  local status
  while running "$front" && { [[ -z $llama ]] || running "$llama"; }; do
    meanwhile sleep 5 || true
    [[ -n $llama ]] || continue
    status=0
    meanwhile curl -s -o /dev/null --max-time "$HANG_SECONDS" "$LLAMA_SERVER_URL/health" ||
      status=$?
    if ((status == CURL_TIMED_OUT)); then
      say "llama-server has been silent for $HANG_SECONDS s; ending it" >&2
      kill -KILL "$llama" 2>/dev/null || true
    fi
  done
}

# Ends the front first, so that requests under way can still finish; at most 9 s in all.
stop() {
  trap '' TERM INT
  [[ -z $restarts ]] || rm -f "$restarts"
  end "$helper" 0
  end "$front" 60
  end "$llama" 20
  exit "$1"
}

# Ends process $1, the hard way after $2 tenths of a second.
end() {
  [[ -n $1 ]] || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  local i
  for ((i = 0; i < $2; i++)); do
    running "$1" || return 0
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
}

supervise() {
  local delay=1 started status
  while true; do
    started=$SECONDS
    watch
    if ! running "$front"; then
      status=0
      wait "$front" || status=$?
      say "uvicorn ended with status $status" >&2
      stop "$status"
    fi
    ((SECONDS - started > LONGEST_DELAY)) && delay=1
    say "llama-server ended; starting it again in $delay s" >&2
    echo restart >>"$restarts" || true
    pause "$delay"
    delay=$((delay * 2 > LONGEST_DELAY ? LONGEST_DELAY : delay * 2))
    start_llama_server
  done
}

main() {
  case ${1:-} in
    '') ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
  [[ $READOUT == prefix || $READOUT == embedding ]] ||
    fail "RERANKER_READOUT is prefix or embedding, not '$READOUT'"
  command -v curl >/dev/null || fail "curl is missing; install it"
  # Paths in settings are relative to where the user stands.
  [[ -z ${RERANKER_GGUF:-} ]] || RERANKER_GGUF=$(realpath -m "$RERANKER_GGUF")
  [[ -z ${RERANKER_PROJECTOR:-} ]] || RERANKER_PROJECTOR=$(realpath -m "$RERANKER_PROJECTOR")
  cd "$HOME_DIR"
  python=$(find_python)
  find_weights
  check_port "$HOST" "$PORT" RERANKER_PORT
  trap 'stop 0' TERM INT
  trap 'stop $?' EXIT
  if [[ -z ${LLAMA_SERVER_URL:-} ]]; then
    find_llama_server
    find_device
    check_port 127.0.0.1 "$LLAMA_PORT" LLAMA_SERVER_PORT
    export LLAMA_SERVER_URL=http://127.0.0.1:$LLAMA_PORT
    prepare_readout
    choose_context
    start_llama_server
  fi
  export RERANKER_MODEL=$MODEL RERANKER_GGUF=$gguf RERANKER_PROJECTOR=$projector
  # The front counts its lines for /metrics.
  restarts=$(mktemp)
  export RERANKER_RESTARTS=$restarts
  wait_for_llama_server
  export RERANKER_DEVICE=$device RERANKER_FALLBACK=$fallback
  start_front
  supervise
}

main "$@"
