"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.doctor.elsewhere import examine_named, named
from app.doctor.finding import Finding, problem, skipped
from app.doctor.gpu import check_gpu, find_devices
from app.doctor.llama_server import check_llama_server
from app.doctor.logs import check_log_folder
from app.doctor.memory import check_memory
from app.doctor.plan import Plan
from app.doctor.ports import check_llama_server_port, check_service
from app.doctor.scores import check_scores
from app.doctor.weights import check_gguf, check_projector
from app.settings import Settings, SettingsError


def examine() -> Iterator[Finding]:
    """What start.sh would meet with the settings of this environment.

    Where RERANKER_URL names another service, how that one is.
    """
    try:
        settings = Settings.load()
    except SettingsError as error:
        for sentence in error.problems:
            yield problem("settings", sentence, "correct it; docs/settings.md lists them all")
        return
    if address := named(settings):
        yield from examine_named(address, settings)
    else:
        yield from _examine(Plan.of(settings))


def _examine(plan: Plan) -> Iterator[Finding]:
    settings = plan.settings
    service, model = check_service(plan)
    yield service
    plan = replace(plan, running=model)
    yield check_llama_server_port(plan, running=model is not None)
    gguf, transformer = check_gguf(plan)
    yield gguf
    yield check_projector(plan, transformer.hidden_size if transformer else None)
    if not settings.llama_server_url:
        devices = find_devices(plan)
        yield check_llama_server(plan)
        yield check_gpu(plan, devices)
        if settings.log_dir:
            yield check_log_folder(settings.log_dir)
        if model is not None:
            yield skipped("memory", "the running service has what it needs")
        elif transformer is not None:
            yield check_memory(plan, transformer, devices or ())
    yield check_scores(settings.url, settings.api_keys, model)
