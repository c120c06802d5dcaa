# The official llama.cpp image; server-b<number> is the CPU one, server-vulkan-b<number> Vulkan's.
ARG BASE_IMAGE=ghcr.io/ggml-org/llama.cpp:server-cuda-b11434
FROM ${BASE_IMAGE}

USER root
# Distribution packages follow the base image, whose tag is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /srv/reranker
COPY requirements.txt .
RUN python3 -m venv .venv && .venv/bin/pip install --no-cache-dir -r requirements.txt

RUN useradd --system --uid 10001 --create-home reranker \
    && install -d -o reranker -g reranker weights /var/log/reranker
COPY start.sh .
COPY models models
COPY app app
USER 10001

# The base image makes llama-server listen everywhere; start.sh's --host wins, this is the belt.
ENV LLAMA_ARG_HOST=127.0.0.1 \
    LLAMA_SERVER_BIN=/app/llama-server \
    RERANKER_DOWNLOAD=1 \
    RERANKER_HOST=0.0.0.0 \
    RERANKER_LOG_DIR=/var/log/reranker \
    RERANKER_PORT=80
EXPOSE 80
VOLUME /srv/reranker/weights

# The first start downloads the weights.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m \
    CMD ["curl", "-fsS", "http://127.0.0.1:80/health"]
ENTRYPOINT []
CMD ["./start.sh"]
