"""Which clients there are, what they need and what to enter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# What the table calls the service's address.
H = "H"


@dataclass(frozen=True)
class Client:
    """A client: `script` with `arguments` prints the sample's documents, best first.

    `packages` are pip's or, of a script in JavaScript, npm's. A client that cannot be run here has
    no script but a reason.
    """

    name: str
    url: str
    packages: tuple[str, ...] = ()
    script: str = ""
    arguments: tuple[str, ...] = ()
    reason: str = ""


def _python(name: str, url: str, script: str, packages: str) -> Client:
    file, *arguments = script.split()
    return Client(name, url, tuple(packages.split()), f"clients/{file}.py", tuple(arguments))


def _javascript(name: str, url: str, script: str, packages: str) -> Client:
    file, *arguments = script.split()
    return Client(name, url, tuple(packages.split()), f"clients/{file}.mjs", tuple(arguments))


def _recipe(name: str, url: str, script: str, packages: str) -> Client:
    return Client(name, url, tuple(packages.split()), f"examples/{script}")


_COHERE = "cohere==7.3.1"
_INFINITY = "infinity-client==0.0.78"
_LANGCHAIN = "langchain-community==0.4.2"
_LITELLM = "litellm==1.110.2"
_LLAMA = "llama-index-postprocessor"
_RERANKERS = "rerankers[api]==0.10.0"
_AI = "ai@6.0.326 @ai-sdk/cohere@3.0.63 voyage-ai-provider@4.0.0"
_COHERE_JS = "cohere-ai@8.1.0"

_SDKS = (
    _python("Cohere, version 1", H, "cohere_sdk Client", _COHERE),
    _python("Cohere, version 2", H, "cohere_sdk ClientV2", _COHERE),
    _javascript("Cohere, version 1", H, "cohere_sdk CohereClient", _COHERE_JS),
    _javascript("Cohere, version 2", H, "cohere_sdk CohereClientV2", _COHERE_JS),
    _python("Voyage", H, "voyage_sdk", "voyageai==0.5.0"),
    _javascript("Voyage, with `topK`", f"{H}/v1", "voyage_sdk", "voyageai@0.4.0"),
    _python("Mixedbread", H, "mixedbread_sdk", "mixedbread==0.54.0"),
    _javascript("Mixedbread", H, "mixedbread_sdk", "@mixedbread/sdk@0.78.0"),
    _python("ZeroEntropy", H, "zeroentropy_sdk", "zeroentropy==0.1.0a11"),
    _javascript("ZeroEntropy", f"{H}/v1", "zeroentropy_sdk", "zeroentropy@0.1.0-alpha.10"),
    _python("Pinecone", H, "pinecone_sdk", "pinecone==10.2.0"),
    _javascript("Pinecone", H, "pinecone_sdk", "@pinecone-database/pinecone@8.2.0"),
    _python("infinity", H, "infinity", _INFINITY),
    _python("Xinference", H, "xinference", "xinference-client==4.1.0"),
    _python("text-embeddings-inference", H, "tei_hub", "huggingface_hub==2.4.0"),
    _python("OpenAI (models)", f"{H}/v1", "openai_models", "openai==3.51.0"),
)


def _langchain() -> Iterator[Client]:
    for name, url, argument, packages in (
        ("Jina", f"{H}/v1/rerank", "jina", _LANGCHAIN),
        ("infinity", H, "infinity", f"{_LANGCHAIN} {_INFINITY}"),
        ("Cohere", H, "cohere", "langchain-cohere==0.6.0"),
        ("Voyage", H, "voyage", "langchain-voyageai==0.4.1"),
        ("NVIDIA", f"{H}/v1", "nvidia", "langchain-nvidia-ai-endpoints==1.5.0"),
    ):
        yield _python(f"LangChain, {name}", url, f"langchain_compressor {argument}", packages)


def _llama_index() -> Iterator[Client]:
    for name, url, argument, package in (
        ("Jina", f"{H}/v1", "jina", "jinaai-rerank==0.6.0"),
        ("Cohere", H, "cohere", "cohere-rerank==0.10.0"),
        ("TEI", H, "tei", "tei-rerank==0.6.0"),
        ("Xinference", H, "xinference", "xinference-rerank==0.5.0"),
        ("NVIDIA", f"{H}/v1", "nvidia", "nvidia-rerank==0.7.0"),
        ("Mixedbread", H, "mixedbread", "mixedbreadai-rerank==0.7.0"),
    ):
        script = f"llama_index_postprocessor {argument}"
        yield _python(f"LlamaIndex, {name}", url, script, f"{_LLAMA}-{package}")


def _haystack() -> Iterator[Client]:
    for name, url, argument, package in (
        ("Cohere", H, "cohere", "cohere-haystack==11.0.0"),
        ("Jina", f"{H}/v1", "jina", "jina-haystack==2.0.1"),
        ("NVIDIA", f"{H}/v1", "nvidia", "nvidia-haystack==3.0.0"),
        ("TEI", H, "tei", "huggingface-api-haystack==3.1.0"),
    ):
        yield _python(f"Haystack, {name}", url, f"haystack_ranker {argument}", package)


def _of_providers(name: str, script: str, package: str, paths: dict[str, str]) -> Iterator[Client]:
    """A client of many services, by the name it gives to each and the path it is told."""
    for provider, path in paths.items():
        yield _python(f"{name}, `{provider}`", f"{H}{path}", f"{script} {provider} {path}", package)


_LITELLM_PATHS = {
    "hosted_vllm": "/v1",
    "jina_ai": "/v1/rerank",
    "cohere": "/v2/rerank",
    "infinity": "",
    "voyage": "/v1",
    "nvidia_nim": "",
    "huggingface": "/v1",
}
_RERANKERS_PATHS = {
    "cohere": "/v1/rerank",
    "jina": "/v1/rerank",
    "voyage": "/v1/rerank",
    "mixedbread.ai": "/v1/reranking",
    "pinecone": "/rerank",
    "text-embeddings-inference": "/rerank",
}

_APPLICATIONS = (
    _python("Agno", H, "agno_infinity", f"agno==3.0.5 {_INFINITY}"),
    _python("Dify", f"{H}/v1", "dify_openai_compatible", "dify-plugin==0.7.4"),
    _python("LightRAG", f"{H}/v1/rerank", "lightrag_rerank", "lightrag-hku==1.5.7"),
    _javascript("AI SDK, Cohere", f"{H}/v2", "ai_sdk cohere", _AI),
    _javascript("AI SDK, Voyage", f"{H}/v1", "ai_sdk voyage", _AI),
    _javascript(
        "LangChain.js, Cohere",
        H,
        "langchain_cohere",
        f"@langchain/cohere@1.0.5 @langchain/core@1.4.0 {_COHERE_JS}",
    ),
)
_MEMORIES = (
    _recipe(
        "mem0",
        f"`CO_API_URL` {H}",
        "mem0_memory.py",
        f"mem0ai==2.2.1 {_COHERE} langchain==1.0.0",
    ),
    _recipe(
        "Graphiti",
        f"{H}, in a `CrossEncoderClient`",
        "graphiti_memory.py",
        "graphiti-core[kuzu]==0.31.2 httpx==0.28.1",
    ),
    _recipe(
        "Hindsight",
        f"`HINDSIGHT_API_RERANKER_TEI_URL` {H}",
        "hindsight_memory.py",
        "hindsight-api-slim==1.1.0",
    ),
    _recipe(
        "LibreChat",
        f"`JINA_API_URL` {H}/v1/rerank",
        "librechat_search.cjs",
        "@librechat/agents@3.9.2",
    ),
    _recipe(
        "LangChain's retriever",
        H,
        "langchain_memory.py",
        "langchain-classic==1.0.8 langchain-cohere==0.6.0",
    ),
    _recipe(
        "LlamaIndex's memory",
        f"{H}/v1",
        "llama_index_memory.py",
        f"{_LLAMA}-jinaai-rerank==0.6.0 llama-index-vector-stores-qdrant==0.10.4",
    ),
)

_CONTAINER = "an application that comes as containers"
_NOT_RUN = (
    Client("Open WebUI", f"{H}/v1/rerank", reason="its package needs PyTorch and a browser"),
    Client("RAGFlow", f"{H}/v1", reason=_CONTAINER),
    Client("Weaviate", H, reason=_CONTAINER),
    Client("Flowise, n8n", H, reason="applications with a browser in front"),
    Client("Cherry Studio", f"{H}/v1", reason="a desktop application"),
    Client("LangChain, Pinecone", H, reason="asks Pinecone which models there are"),
    Client("LlamaIndex and Haystack, Voyage", H, reason="take no address"),
)

CLIENTS = (
    *_SDKS,
    *_langchain(),
    *_llama_index(),
    *_haystack(),
    *_of_providers("LiteLLM", "litellm_rerank", _LITELLM, _LITELLM_PATHS),
    *_of_providers("rerankers", "rerankers_api", _RERANKERS, _RERANKERS_PATHS),
    *_APPLICATIONS,
    *_MEMORIES,
    *_NOT_RUN,
)
