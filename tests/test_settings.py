"""Settings are understood as people and tools write them, or refused by name."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dialects.spoken import DIALECTS
from app.keys import RequireKey
from app.settings import OF_OTHERS, RULES, Settings, SettingsError
from app.settings_page import updated
from toolkit.running import ROOT, run_app


def problems(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        Settings.load(variables)
    return error.value.problems


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("RERANKER_DOWNLOAD", "true", "download", True),
        ("RERANKER_DOWNLOAD", "Yes", "download", True),
        ("RERANKER_GPU_FALLBACK", "ON", "gpu_fallback", True),
        ("RERANKER_GPU_FALLBACK", "off", "gpu_fallback", False),
        ("RERANKER_GPU_FALLBACK", "False", "gpu_fallback", False),
        ("RERANKER_GPU_FALLBACK", "", "gpu_fallback", True),
        ("RERANKER_HANG_SECONDS", "2s", "hang_seconds", 2.0),
        ("RERANKER_HANG_SECONDS", "1.5m", "hang_seconds", 90.0),
        ("RERANKER_TIMEOUT_SECONDS", "500ms", "timeout_seconds", 0.5),
        ("RERANKER_DRAIN_SECONDS", "0", "drain_seconds", 0.0),
        ("RERANKER_MAX_BODY_BYTES", "32M", "max_body_bytes", 33_554_432),
        ("RERANKER_MAX_BODY_BYTES", "512kib", "max_body_bytes", 524_288),
        ("RERANKER_READOUT", "Embedding", "readout", "embedding"),
        ("RERANKER_HOST", "[::]", "host", "::"),
        ("RERANKER_HOST", "0:0:0:0:0:0:0:0", "host", "::"),
        ("RERANKER_HOST", "host7", "host", "host7"),
        ("RERANKER_ROOT_PATH", "/a/b/", "root_path", "/a/b"),
        ("RERANKER_ROOT_PATH", "/", "root_path", ""),
        (
            "RERANKER_FORWARDED_ALLOW_IPS",
            "10.0.0.0/8, ::1",
            "forwarded_allow_ips",
            "10.0.0.0/8,::1",
        ),
        ("RERANKER_API_KEY", " a , b\n", "api_keys", ("a", "b")),
        ("RERANKER_API_KEY", "보고", "api_keys", ("보고",)),
        ("RERANKER_API_KEY", "voilà", "api_keys", ("voilà",)),
        (
            "RERANKER_CORS_ORIGINS",
            "https://App.Example/,http://bücher.example:80",
            "cors_origins",
            ("https://app.example", "http://xn--bcher-kva.example"),
        ),
        ("RERANKER_CORS_ORIGINS", "http://[::1]:3000", "cors_origins", ("http://[::1]:3000",)),
        ("RERANKER_CORS_ORIGINS", "*", "cors_origins", ("*",)),
        ("LLAMA_SERVER_URL", "http://h:8081/", "llama_server_url", "http://h:8081"),
        ("LLAMA_SERVER_BIN", "llama-server", "llama_server_bin", "llama-server"),
        ("LLAMA_ARG_CTX_SIZE", "0", "llama_arg_ctx_size", 0),
        ("LLAMA_ARG_N_PARALLEL", "-1", "llama_arg_n_parallel", None),
        ("LLAMA_ARG_N_GPU_LAYERS", "all", "llama_arg_n_gpu_layers", -2),
        ("LLAMA_ARG_N_GPU_LAYERS", "auto", "llama_arg_n_gpu_layers", -1),
        ("LLAMA_ARG_N_GPU_LAYERS", "00", "llama_arg_n_gpu_layers", 0),
        ("LLAMA_ARG_FLASH_ATTN", "1", "llama_arg_flash_attn", "on"),
    ],
)
def test_understood(variable: str, text: str, field: str, value: Any) -> None:
    assert getattr(Settings.load({variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *(("RERANKER_DOWNLOAD", text) for text in ["2", "maybe", "y e s", "ja"]),
        *(
            ("RERANKER_HANG_SECONDS", text)
            for text in ["0", "-1", "nan", "inf", "1e3", "1d", "soon", "3 weeks", "99999999"]
        ),
        *(
            ("RERANKER_MAX_DOCUMENTS", text)
            for text in ["0", "-5", "1_000", "1,000", "1.0", "１０"]
        ),
        *(("RERANKER_MAX_BODY_BYTES", text) for text in ["0", "32MX", "3.5M", "1T", "9G"]),
        *(
            ("RERANKER_PORT", text)
            for text in [
                *("0", "65536", "many", "8000-8010", ":7998", "::1:7998", "127.0.0.1:", "host:0"),
                *("127.0.0.1:80:80", "tcp://10.0.0.1:7998"),
            ]
        ),
        *(("LLAMA_SERVER_PORT", text) for text in ["-1", "127.0.0.1:8081", "tcp://10.0.0.1:80"]),
        *(
            ("RERANKER_HOST", text)
            for text in ["*", "0", "1.2.3", "http://h", "h:80", "a b", "[h]", "-h", "256.1.1.1"]
        ),
        *(("RERANKER_MODEL", text) for text in ["..", "../weights", "a/b", "a b", "~", "x" * 200]),
        *(("RERANKER_QUANT", text) for text in ["*", "[a]", "../Q8_0"]),
        ("RERANKER_READOUT", "both"),
        *(("RERANKER_ROOT_PATH", text) for text in ["reranker", "//a", "/a?b", "http://h/a"]),
        *(("RERANKER_FORWARDED_ALLOW_IPS", text) for text in ["proxy", "10.0.0.1/8", ","]),
        *(
            ("RERANKER_CORS_ORIGINS", text)
            for text in [
                *("app.example", "https://a.example/page", "https://*.example", "https://", ","),
                *("https://a.example;https://b.example", "null", "https://a.example:99999"),
            ]
        ),
        *(
            ("LLAMA_SERVER_URL", text)
            for text in ["localhost:8081", "ftp://h", "http://", "http://h:0", "http://h:x", "//h"]
        ),
        *(("LLAMA_ARG_CTX_SIZE", text) for text in ["16k", "-1", "4096.0", "99999999999"]),
        *(("LLAMA_ARG_N_PARALLEL", text) for text in ["0", "-2", "auto", "two"]),
        *(("LLAMA_ARG_UBATCH", text) for text in ["0", "-1", "512MB"]),
        *(("LLAMA_ARG_N_GPU_LAYERS", text) for text in ["-3", "some", "99 layers"]),
        *(("LLAMA_ARG_DEVICE", text) for text in ["None", "CUDA0, CUDA1", "CUDA0,none", ","]),
        ("LLAMA_ARG_FLASH_ATTN", "maybe"),
        *(("LLAMA_ARG_CACHE_TYPE_K", text) for text in ["q9", "Q8_0"]),
    ],
)
def test_refused_by_name(variable: str, text: str) -> None:
    (problem,) = problems(**{variable: text})

    assert problem.startswith(f"{variable} is ")
    assert problem.endswith(f"not {text!r}") or len(text) > 100


@pytest.mark.parametrize("variable", [variable for _, variable, rule in RULES if not rule.secret])
@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("'8081'", "quotes"),
        ('"8081"', "quotes"),
        ("8081 ", "white space"),
        ("8081\r", "line end"),
        ("\n8081", "line end"),
        ("80\x1b81", "control character"),
        ("80\udce081", "UTF-8"),
    ],
)
def test_what_files_of_variables_leave_behind(variable: str, text: str, flaw: str) -> None:
    (problem,) = problems(**{variable: text})

    assert problem.startswith(f"{variable} is {text!r}: ")
    assert flaw in problem
    assert problem.isprintable()


@pytest.mark.parametrize("variable", ["RERANKER_API_KEY", "LLAMA_SERVER_API_KEY"])
@pytest.mark.parametrize(
    "text",
    [",", " ", "s3cret,", "s3cret,,b", "'s3cret'", "s3\ncret", "s3cret # old", "s3cret\udce0"],
)
def test_keys_are_refused_and_not_shown(variable: str, text: str) -> None:
    if variable == "LLAMA_SERVER_API_KEY" and "," in text:
        return
    (problem,) = problems(**{variable: text})

    assert problem.startswith(f"{variable} is not a key")
    assert "s3" not in problem


def test_no_secret_is_shown() -> None:
    settings = Settings.load({"RERANKER_API_KEY": "s3cret", "LLAMA_SERVER_API_KEY": "s3cret"})
    (url,) = problems(LLAMA_SERVER_URL="http://user:s3cret@host:8081")

    assert "s3cret" not in repr(settings) + url


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("RERANKER_MAX_DOCUMENT", "RERANKER_MAX_DOCUMENTS"),
        ("RERANKER_APIKEY", "RERANKER_API_KEY"),
        ("RERANKER_API_KEYS", "RERANKER_API_KEY"),
        ("reranker_port", "RERANKER_PORT"),
        ("LLAMA_SERVER_ULR", "LLAMA_SERVER_URL"),
    ],
)
def test_misspelt_variable(misspelt: str, meant: str) -> None:
    assert problems(**{misspelt: "5"}) == [f"{misspelt} is no setting; did you mean {meant}?"]


def test_variables_of_others_are_left_alone() -> None:
    """A client's, and those that Kubernetes writes for a service named "reranker"."""
    Settings.load(
        {
            "RERANKER_URL": "http://localhost:7998",
            "RERANKER_SERVICE_HOST": "10.0.0.1",
            "RERANKER_SERVICE_PORT_HTTP": "80",
            "RERANKER_PORT_80_TCP": "tcp://10.0.0.1:80",
            "RERANKER_PORT_80_TCP_ADDR": "10.0.0.1",
            "RERANKER_GPU_PORT": "tcp://10.0.0.1:80",
            "LLAMA_ARG_THREADS": "4",
        }
    )


def test_address_and_port_in_one() -> None:
    both = Settings.load({"RERANKER_PORT": "[::1]:7000", "RERANKER_HOST": "::1"})
    assert (both.host, both.port, both.url) == ("::1", 7000, "http://[::1]:7000")

    (problem,) = problems(RERANKER_PORT="127.0.0.1:7998", RERANKER_HOST="0.0.0.0")
    assert "RERANKER_PORT" in problem
    assert "RERANKER_HOST" in problem


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::", "http://127.0.0.1:7998"),
        ("0:0:0:0:0:0:0:0", "http://127.0.0.1:7998"),
        ("0.0.0.0", "http://127.0.0.1:7998"),
        ("some.host", "http://some.host:7998"),
    ],
)
def test_url_of_a_host(host: str, url: str) -> None:
    assert Settings.load({"RERANKER_HOST": host}).url == url


def test_one_port_for_two() -> None:
    (problem,) = problems(RERANKER_PORT="8081")
    assert "LLAMA_SERVER_PORT" in problem

    Settings.load({"RERANKER_PORT": "8081", "LLAMA_SERVER_URL": "http://other:8081"})


def test_options_that_llama_server_must_not_have() -> None:
    ours = problems(LLAMA_ARG_API_PREFIX="/x", LLAMA_ARG_HF_REPO="a/b", LLAMA_ARG_RERANKING="0")
    assert [problem.partition(" ")[0] for problem in ours] == [
        "LLAMA_ARG_HF_REPO",
        "LLAMA_ARG_API_PREFIX",
    ]

    Settings.load({"LLAMA_ARG_API_PREFIX": "/x", "LLAMA_SERVER_URL": "http://other:8081/x"})


def test_paths_begin_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relative = {"RERANKER_LOG_DIR": "logs", "LLAMA_SERVER_BIN": "./x", "RERANKER_GGUF": "/y.gguf"}
    there = Settings.load({**relative, "RERANKER_FOLDER": str(tmp_path)})
    monkeypatch.chdir(tmp_path)

    assert Settings.load(relative) == there
    assert there.log_dir == tmp_path / "logs"
    assert there.llama_server_bin == tmp_path / "x"
    assert there.gguf == Path("/y.gguf")
    assert Settings.load({"RERANKER_GGUF": "~/y"}).gguf == Path.home() / "y"


@given(st.dictionaries(st.sampled_from([variable for _, variable, _ in RULES]), st.text()))
def test_whatever_stands_there(environment: dict[str, str]) -> None:
    with suppress(SettingsError):
        Settings.load(environment)


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_commands_tell_all_that_is_wrong(command: str) -> None:
    wrong = {
        "RERANKER_PORT": "many",
        "RERANKER_MAX_DOCUMENT": "5",
        "RERANKER_API_KEY": ",",
        "LLAMA_ARG_CTX_SIZE": "16k",
    }

    done = run_app(command, **wrong)

    assert done.returncode == 1
    assert all(variable in done.stdout + done.stderr for variable in wrong)
    assert "Traceback" not in done.stderr


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["보고", "voilà", "a\xa0"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_keys_of_other_letters(key: str, encoding: str) -> None:
    opened = []

    async def app(*_: object) -> None:
        opened.append(True)

    async def ignore(*_: object) -> Any: ...

    sent = key.encode(encoding, "ignore")
    scope = {
        "type": "http",
        "path": "/rerank",
        "root_path": "",
        "headers": [(b"authorization", b"Bearer " + sent)],
    }
    await RequireKey(app, [key], DIALECTS)(scope, ignore, ignore)

    assert bool(opened) == bool(sent)


def test_table_is_that_of_the_rules() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert page == updated(page), "run: python -m app.settings_page"


@pytest.mark.parametrize(
    "file",
    [
        *("README.md", ".env.example", "Dockerfile", "docker-compose.yml", "systemd"),
        *("docs", "start.sh", "app", "models", "deploy", "bench"),
    ],
)
def test_every_variable_that_is_named_is_one(file: str) -> None:
    names = subprocess.check_output(
        ["git", "grep", "-ohE", r"\b(RERANKER|LLAMA_SERVER)_[A-Z_]*[A-Z]\b", file],
        cwd=ROOT,
        text=True,
    )
    known = (
        {"RERANKER_FOLDER", "RERANKER_SERVICE_HOST", "RERANKER_API_KEY_NAME"}
        | OF_OTHERS
        | {variable for _, variable, _ in RULES}
    )

    assert {name for name in names.split() if not name.startswith("RERANKER_PORT_")} <= known


def test_example_of_a_file_of_variables() -> None:
    """All of it, as a shell reads it and as `docker run` does."""
    path = ROOT / ".env.example"
    lines = path.read_text().splitlines()
    settings = [line.removeprefix("#") for line in lines if re.match("#?[A-Z_]+=", line)]
    shell = subprocess.check_output(
        ["env", "-i", "bash", "-c", "set -a; . /dev/stdin; exec env"],
        input="\n".join(settings),
        text=True,
    )

    read = dict(line.split("=", 1) for line in shell.splitlines())

    assert read.items() >= dict(line.split("=", 1) for line in settings).items()
    Settings.load(read)
