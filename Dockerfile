# The official llama.cpp image; of the same build there are server-<build> for the CPU,
# server-vulkan-<build> and server-rocm-<build>.
ARG BASE_IMAGE=ghcr.io/ggml-org/llama.cpp:server-cuda-b11434

FROM ${BASE_IMAGE} AS packages
# Nothing runs in this stage but the build.
# hadolint ignore=DL3002
USER 0
# Distribution packages follow the base image, whose tag is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /srv/reranker
# requirements-otlp.lock: with the packages that export traces.
ARG REQUIREMENTS=requirements.lock
COPY ${REQUIREMENTS} .
# What is not used stays behind in this stage: pip, the packages' own tests, a second downloader,
# and rich's highlighter of source code.
RUN python3 -m venv /pip \
    && python3 -m venv --without-pip .venv \
    && /pip/bin/pip --python .venv install --no-cache-dir --require-hashes -r "${REQUIREMENTS}" \
    && /pip/bin/pip --python .venv uninstall --yes hf_xet pygments \
    && find .venv -type d -name tests -prune -exec rm -r {} +

FROM ${BASE_IMAGE}
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --system --uid 10001 --create-home reranker
WORKDIR /srv/reranker
RUN install -d -o reranker -g reranker weights /var/log/reranker
COPY --from=packages /srv/reranker/.venv .venv
COPY LICENSE start.sh ./
COPY sidecar sidecar
COPY models models
COPY app app
USER 10001

# The base image makes llama-server listen everywhere; start.sh's --host wins, this is the belt.
ENV LLAMA_ARG_HOST=127.0.0.1 \
    LLAMA_SERVER_BIN=/app/llama-server \
    RERANKER_DOWNLOAD=1 \
    RERANKER_HOST=:: \
    RERANKER_LOG_DIR=/var/log/reranker \
    RERANKER_PORT=80
EXPOSE 80
VOLUME /srv/reranker/weights /var/log/reranker

# The first start downloads the weights.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m \
    CMD [".venv/bin/python", "-m", "app.health"]
ENTRYPOINT []
CMD ["./start.sh"]

# Last, since a new revision must not build the rest again; `make image` fills them in.
ARG BASE_IMAGE
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="jina-reranker" \
      org.opencontainers.image.description="Ranks documents with jina-reranker-v3 from a GGUF" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
