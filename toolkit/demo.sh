#!/usr/bin/env bash
# Serves the demo model in the foreground and, once it is up, prints a request to try.
set -euo pipefail

port=${RERANKER_PORT:-7998}
# It may have an address in front.
url=http://127.0.0.1:${port##*:}

announce() {
  until curl -fs -o /dev/null "$url/health"; do
    kill -0 $$ || exit 0
    sleep 0.3
  done
  cat <<HELP

The demo is up, with a small model for trying the service (weights/demo/README.md).
Open $url in a browser, or try it from another terminal:

  curl $url/rerank -H 'Content-Type: application/json' -d '{
    "query": "내일 회의 일정",
    "documents": ["오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다"]}'

Ctrl-C stops it.
HELP
}

announce 2>/dev/null &
RERANKER_MODEL=demo exec ./start.sh
