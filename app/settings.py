"""The settings of the service: one set of rules for every environment variable that it reads."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from app import values
from app.scores import Scale

# What llama-server takes for the cache of keys and values, to the letter.
_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")

# Characters of a wrong value that its message shows.
_SHOWN = 100

_FOLDER = "RERANKER_FOLDER"
# Read by others than the service: applications' clients, and llama-server itself.
OF_OTHERS = frozenset(
    {
        "RERANKER_URL",
        "LLAMA_SERVER_CHILD_MODE",
        "LLAMA_SERVER_ROUTER_PORT",
        "LLAMA_SERVER_SLOTS_DEBUG",
        "LLAMA_SERVER_SLOTS_N_DIFF",
    }
)
# Written by Kubernetes and Docker's links for a service whose name begins like a setting.
_SERVICE_LINK = re.compile(
    r".*(_SERVICE_HOST|_SERVICE_PORT(_.+)?|_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
_LINKED = re.compile(r"(tcp|udp|sctp)://.*")

# Options of a llama-server that could not be asked, or would compute something else.
_REFUSED = {
    "another model than that of RERANKER_GGUF": (
        *("DOCKER_REPO", "HF_FILE", "HF_REPO", "MODELS_DIR", "MODELS_PRESET", "MODEL_URL"),
    ),
    "other hidden states than the model's": (
        *("CACHE_REUSE", "CONTEXT_SHIFT", "GRP_ATTN_N", "GRP_ATTN_W", "OVERRIDE_TENSOR"),
    ),
    "a llama-server of another kind than the readout needs": (
        *("EMBEDDINGS", "POOLING", "RERANKING"),
    ),
    "a llama-server that the service cannot ask": (
        *("API_PREFIX", "REUSE_PORT", "SSL_CERT_FILE", "SSL_KEY_FILE"),
    ),
}


class SettingsError(ValueError):
    """Settings are wrong; `problems` has a sentence for each, which names the variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Rule:
    """How a setting is read, and what the documentation says of it.

    `read` raises `ValueError` with what is allowed. `shown` is the default where its text alone
    does not tell it, `variable` the name where it is not the field's.
    """

    read: Callable[[str], Any]
    meaning: str
    shown: str = ""
    variable: str = ""
    secret: bool = False
    internal: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every field is an environment variable, upper case: LLAMA_… by its name, else RERANKER_…."""

    model: Annotated[
        str,
        Rule(
            values.name("jina-reranker-v3"), "picks `weights/<name>/`, and is the name in answers"
        ),
    ] = "jina-reranker-v3"
    quant: Annotated[
        str | None,
        Rule(
            values.name("Q8_0"),
            "which GGUF: `BF16`, `Q8_0`, `Q4_K_M`, …, the last part of its name; case is no "
            "difference",
            shown="the newest file, or `Q8_0` to download",
        ),
    ] = None
    gguf: Annotated[Path | None, Rule(values.path, "GGUF to use instead")] = None
    projector: Annotated[Path | None, Rule(values.path, "projector file to use instead")] = None
    readout: Annotated[
        str,
        Rule(
            values.choice("prefix", "embedding"),
            "how hidden states are read: `prefix` or `embedding`",
        ),
    ] = "prefix"
    download: Annotated[
        bool, Rule(values.boolean, "download missing weights", shown="`0`; `1` in the image")
    ] = False
    host: Annotated[
        str,
        Rule(
            values.host,
            "address to listen on; `::` is every address, of IPv4 too. Compose publishes the port "
            "there",
            shown="`127.0.0.1`; `::` in the image",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Rule(
            values.host_and_port,
            "port to listen on, or address and port such as `127.0.0.1:7998`",
            shown="`7998`; `80` in the image",
        ),
    ] = 7998
    scores: Annotated[
        Scale | None,
        Rule(
            values.choice("cosine", "unit", "calibrated"),
            "what scores are where a request does not say: `cosine`, from −1 to 1, `unit`, from 0 "
            "to 1, or `calibrated`, probabilities by the file of `RERANKER_CALIBRATION`",
            shown="the model's own; `unit` in dialects that promise it",
        ),
    ] = None
    calibration: Annotated[
        Path | None,
        Rule(
            values.path,
            "what `python -m app evaluate --calibrate` wrote; a start with that of another GGUF is "
            "refused",
            shown="`calibration.json` in `weights/<name>/`, if it is there",
        ),
    ] = None
    root_path: Annotated[
        str,
        Rule(
            values.root_path,
            "path below which a proxy shows the service, such as `/reranker`; the proxy may take "
            "it away or leave it",
        ),
    ] = ""
    forwarded_allow_ips: Annotated[
        str,
        Rule(
            values.networks,
            "proxies whose `X-Forwarded-…` headers are believed: addresses and networks, comma "
            "separated, or `*`",
        ),
    ] = "127.0.0.1"
    api_keys: Annotated[
        tuple[str, ...],
        Rule(
            values.keys,
            "keys, comma separated; requests but `/health`, the page and `/docs` then need one as "
            "`Authorization: Bearer <key>`",
            variable="RERANKER_API_KEY",
            secret=True,
        ),
    ] = field(default=(), repr=False)
    cors_origins: Annotated[
        tuple[str, ...],
        Rule(
            values.origins,
            "origins of web pages that may ask from a browser, comma separated, or `*`",
        ),
    ] = ()
    max_documents: Annotated[int, Rule(values.whole(1), "documents of one request")] = 1024
    max_body_bytes: Annotated[
        int, Rule(values.size, "size of one request, such as `32M`", shown="`32M`")
    ] = 32 * 2**20
    max_query_tokens: Annotated[int, Rule(values.whole(1), "a longer query is cut")] = 512
    max_document_tokens: Annotated[
        int,
        Rule(
            values.whole(1),
            "longer documents are cut, or split into passages; of cross-encoders see "
            "`RERANKER_MAX_LENGTH`",
        ),
    ] = 2048
    long_documents: Annotated[
        str,
        Rule(
            values.choice("cut", "split"),
            "longer documents are `cut`, or `split` into passages of which the best one counts, "
            "unless a request says",
        ),
    ] = "cut"
    max_passages: Annotated[
        int, Rule(values.whole(1), "passages of one request's split documents")
    ] = 4096
    max_length: Annotated[
        int | None,
        Rule(
            values.whole(32),
            "tokens of query and document together, of a model that reads both at once, such as "
            "`256` where memory is short; what is longer is cut, or read in parts",
            shown="the model's own",
        ),
    ] = None
    queue_limit: Annotated[
        int,
        Rule(
            values.whole(0),
            "requests that may wait beside those that llama-server works on; more get 429",
        ),
    ] = 64
    timeout_seconds: Annotated[
        float,
        Rule(values.seconds(), "longest that one request may take, its body and its wait included"),
    ] = 300.0
    body_timeout_seconds: Annotated[
        float,
        Rule(values.seconds(), "longest that a body may take to arrive, an answer to be read"),
    ] = 30.0
    drain_seconds: Annotated[
        float, Rule(values.seconds(0), "how long requests in the model may go on after TERM")
    ] = 30.0
    hang_seconds: Annotated[
        float,
        Rule(
            values.seconds(),
            "a llama-server silent for so long is started again; a front ends the service",
        ),
    ] = 30.0
    gpu_fallback: Annotated[
        bool,
        Rule(
            values.boolean,
            "short of GPU memory: try half the context, then the CPU; `0`: end",
            shown="`1`",
        ),
    ] = True
    log_dir: Annotated[
        Path | None,
        Rule(
            values.path,
            "folder for the log of llama-server",
            shown="standard error; `/var/log/reranker` in the image",
        ),
    ] = None
    device: Annotated[
        str,
        Rule(
            values.text,
            "where a llama-server of `LLAMA_SERVER_URL` computes, as `/health` tells it",
        ),
    ] = "unknown"
    fallback: Annotated[
        str, Rule(values.text, "what start.sh gave up to start llama-server", internal=True)
    ] = ""
    restarts: Annotated[
        Path | None, Rule(values.path, "file with a line for each restart", internal=True)
    ] = None
    llama_server_bin: Annotated[
        str | Path | None,
        Rule(
            values.program,
            "llama-server to run: a name on the PATH or a file",
            shown="found on the PATH, else embedded",
        ),
    ] = None
    llama_server_port: Annotated[int, Rule(values.port, "its port, on 127.0.0.1 only")] = 8081
    llama_server_url: Annotated[
        str | None,
        Rule(
            values.url,
            "use this llama-server and start none: one with `--embeddings --pooling none`, or one "
            "that serves a prepared GGUF named in `RERANKER_GGUF`; of a cross-encoder, one with "
            "`--embeddings --pooling cls` that serves the GGUF named there",
        ),
    ] = None
    llama_server_api_key: Annotated[
        str, Rule(values.key, "key of the llama-server at `LLAMA_SERVER_URL`", secret=True)
    ] = field(default="", repr=False)
    llama_arg_ctx_size: Annotated[
        int | None,
        Rule(
            values.whole(0),
            "tokens of context, of all slots together; `0`: all that the model was made for",
            shown="by device and readout",
        ),
    ] = None
    llama_arg_n_parallel: Annotated[
        int | None,
        Rule(values.slots, "slots; `-1`: the default", shown="`1` on a CPU, `2` on a GPU"),
    ] = None
    llama_arg_batch: Annotated[
        int | None,
        Rule(values.whole(1), "tokens of a logical batch", shown="llama-server's, or the context"),
    ] = None
    llama_arg_ubatch: Annotated[
        int | None,
        Rule(values.whole(1), "tokens of a physical batch", shown="llama-server's, or the context"),
    ] = None
    llama_arg_n_gpu_layers: Annotated[
        int | None,
        Rule(
            values.gpu_layers,
            "layers on the GPU: a number, `auto` or `all`; `0` stays on the CPU",
            shown="`99`",
        ),
    ] = None
    llama_arg_device: Annotated[
        str | None,
        Rule(
            values.devices,
            "GPUs to use, comma separated, as `llama-server --list-devices` names them; `none`",
            shown="all",
        ),
    ] = None
    llama_arg_flash_attn: Annotated[
        str | None,
        Rule(
            values.flash_attention,
            "flash attention: `on`, `off` or `auto`",
            shown="`off` on a CPU, `auto` on a GPU",
        ),
    ] = None
    llama_arg_cache_type_k: Annotated[
        str, Rule(values.one_of(_CACHE_TYPES), "type of the cache's keys, such as `q8_0`")
    ] = "f16"
    llama_arg_cache_type_v: Annotated[
        str, Rule(values.one_of(_CACHE_TYPES), "type of the cache's values")
    ] = "f16"
    llama_arg_cache_ram: Annotated[
        int, Rule(values.whole(-1), "MiB of memory for old prompts; `-1`: no limit")
    ] = 0
    llama_arg_swa_full: Annotated[
        bool,
        Rule(values.boolean, "keep all of a prompt in layers with windows, which takes memory"),
    ] = False
    llama_arg_log_verbosity: Annotated[
        int, Rule(values.whole(0), "what llama-server logs, from `1`, errors, to `5`, everything")
    ] = 2

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment, an empty variable as one that is not set.

        Relative paths begin where the user stands: at RERANKER_FOLDER, which start.sh sets before
        it leaves, or else in the working folder. Raises `SettingsError`, naming all that is wrong.
        """
        given = {k: v for k, v in (os.environ if environment is None else environment).items() if v}
        problems = [*_unknown(given), *_refused(given)]
        read: dict[str, Any] = {}
        for field_name, variable, rule in RULES:
            try:
                if variable in given:
                    read[field_name] = _read(variable, given[variable], rule)
            except ValueError as error:
                problems.append(str(error))
        problems += _settle_address(read)
        if problems:
            raise SettingsError(problems)
        folder = Path(given.get(_FOLDER) or Path.cwd())
        for field_name, value in read.items():
            if isinstance(value, Path):
                read[field_name] = folder / value
        return cls(**read)

    @property
    def projector_path(self) -> Path:
        """The projector file, by default in the model's folder under weights/."""
        return self.projector or Path("weights") / self.model / "projector.safetensors"

    @property
    def calibration_path(self) -> Path:
        """The calibration file, by default in the model's folder under weights/."""
        return self.calibration or Path("weights") / self.model / "calibration.json"

    @property
    def url(self) -> str:
        """Where this machine reaches the service."""
        # `::` is every address, and a container has those of IPv4 whether it has IPv6 or not.
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def server_url(self) -> str:
        """Where the front finds llama-server, whoever started it."""
        return self.llama_server_url or f"http://127.0.0.1:{self.llama_server_port}"


def _rules() -> Iterator[tuple[str, str, Rule]]:
    for field_name, hint in get_type_hints(Settings, include_extras=True).items():
        (rule,) = hint.__metadata__
        prefix = "" if field_name.startswith("llama_") else "RERANKER_"
        yield field_name, rule.variable or prefix + field_name.upper(), rule


# Name of the field, name of the variable, and rule of each setting.
RULES = tuple(_rules())
_VARIABLES = frozenset(variable for _, variable, _ in RULES) | {_FOLDER}


def _read(variable: str, text: str, rule: Rule) -> Any:
    """The value of `text`; raises `ValueError` with a sentence that names the variable."""
    flaw = None if rule.secret else values.flaw(text)
    if flaw:
        raise ValueError(f"{variable} is {_visible(text)}: {flaw}")
    try:
        return rule.read(text)
    except ValueError as error:
        if rule.secret:
            raise ValueError(f"{variable} is not {error} (its value is not shown)") from None
        raise ValueError(f"{variable} is {error}, not {_visible(text)}") from None


def _visible(text: str) -> str:
    """`text` on one line, its end cut off if it is long, and without the password of an address."""
    shown = re.sub(r"//[^/]*@", "//…@", text)
    return repr(shown[:_SHOWN]) + ("…" if len(shown) > _SHOWN else "")


def _settle_address(read: dict[str, Any]) -> Iterator[str]:
    """Part RERANKER_PORT=127.0.0.1:7998 into host and port; what contradicts itself."""
    if "port" in read:
        host, read["port"] = read["port"]
        if host and read.setdefault("host", host) != host:
            yield (
                f"RERANKER_PORT is an address and a port, and RERANKER_HOST another address: "
                f"{host} and {read['host']}; set the address in one of them"
            )
    port = read.get("port", Settings.port)
    ours = read.get("llama_server_port", Settings.llama_server_port)
    if port == ours and not read.get("llama_server_url"):
        yield f"RERANKER_PORT and LLAMA_SERVER_PORT are both {port}; set one to another port"


def _unknown(given: Mapping[str, str]) -> Iterator[str]:
    """Variables that look like settings and are none."""
    for variable, text in sorted(given.items()):
        upper = variable.upper()
        if (
            variable in _VARIABLES | OF_OTHERS
            or not upper.startswith(("RERANKER_", "LLAMA_SERVER_"))
            or _SERVICE_LINK.fullmatch(upper)
            or _LINKED.fullmatch(text)
        ):
            continue
        meant = difflib.get_close_matches(upper, _VARIABLES, n=1)
        hint = f"did you mean {meant[0]}?" if meant else "docs/settings.md lists all; unset it"
        yield f"{variable} is no setting; {hint}"


def _refused(given: Mapping[str, str]) -> Iterator[str]:
    """Options of llama-server that the service cannot work with."""
    if given.get("LLAMA_SERVER_URL"):
        return
    for result, options in _REFUSED.items():
        for variable in sorted(f"LLAMA_ARG_{option}" for option in options):
            if given.get(variable, "none").lower() not in values.FALSE | {"none"}:
                yield f"{variable} is set, which makes {result}; unset it"
