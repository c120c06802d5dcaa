"""The Helm chart: what Helm renders of it, Kubernetes' schemas, and the service it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from app import VERSION
from app.settings import RULES
from models.families import CARDS
from models.rerank import ModelError
from tests.hub import Hub
from tests.in_process import Pointwise, app_of, client
from toolkit.running import ROOT, environment, free_ports

CHART = ROOT / "deploy/chart"
IMAGE = {"image": {"repository": "registry.example/jina-reranker"}}
SECRET = {"name": "reranker", "key": "keys"}
SEVERAL = {"replicas": 3, "weights": {"accessMode": "ReadWriteMany"}}
VALUES: dict[str, dict[str, Any]] = {
    "gpu": {},
    "cpu": {"gpu": {"count": 0}, "settings": {"LLAMA_ARG_THREADS": 4}},
    "no limits": {"gpu": {"count": 0}, "resources": {"requests": None, "limits": None}},
    "key": {"secrets": {"RERANKER_API_KEY": SECRET}, "serviceMonitor": {"enabled": True}},
    "autoscaling": {**SEVERAL, "autoscaling": {"enabled": True}},
    "existing claim": {"replicas": 2, "weights": {"existingClaim": "models", "download": False}},
    "own weights": {"replicas": 2, "weights": {"persistent": False}, "service": {"headless": True}},
    "choosy": {
        "image": {**IMAGE["image"], "tag": "1", "pullSecrets": ["registry"]},
        "nodeSelector": {"gpu": "l4"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "runtimeClassName": "nvidia",
        "weights": {"storageClass": "fast"},
        "networkPolicy": {"from": [], "egress": [{"ports": [{"port": 4318}]}]},
    },
    "open": {"networkPolicy": {"enabled": False}},
}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


def rendered(chart: helm.Chart, values: dict[str, Any]) -> dict[str, Any]:
    """The objects that an installation makes, by kind."""
    manifests = chart.render(IMAGE | values, name="ranks", namespace="search")
    manifests.pop("jina-reranker/templates/NOTES.txt")
    objects = [each for text in manifests.values() for each in yaml.safe_load_all(text) if each]
    assert len({each["kind"] for each in objects}) == len(objects)
    return {each["kind"]: each for each in objects}


def pod(objects: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]
    return spec


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def refused(chart: helm.Chart, values: dict[str, Any]) -> str:
    with pytest.raises(helm.HelmError) as error:
        rendered(chart, values)
    return str(error.value)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_finds_nothing_to_say(values: dict[str, Any]) -> None:
    found = helm.lint(CHART, IMAGE | values, strict=True)

    assert [each["error"] for each in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_kubernetes_takes_it(chart: helm.Chart, values: dict[str, Any], version: str) -> None:
    objects = rendered(chart, values)
    # Not of Kubernetes itself, so there is no schema of it.
    objects.pop("ServiceMonitor", None)

    for each in objects.values():
        kubernetes_validate.validate(each, version, strict=True)


def test_version_is_that_of_the_app() -> None:
    described = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (described["version"], described["appVersion"]) == (VERSION, VERSION)


def test_every_value_is_explained(chart: helm.Chart) -> None:
    rows = re.findall(r"^\| (`[a-z][^|]*) \|", (ROOT / "docs/operations.md").read_text(), re.M)
    named = set()
    for row in rows:
        names = re.findall(r"`([^`]*)`", row)
        # `.size` goes on where the first name of its row begins.
        named |= {names[0].partition(".")[0] + name if name[0] == "." else name for name in names}

    # Some are explained as a whole.
    whole = {"resources", "rollingUpdate"}
    for name, value in chart.values.items():
        inner = value if isinstance(value, dict) and name not in whole else {}
        assert ({f"{name}.{each}" for each in inner} or {name}) <= named


def test_what_is_made(chart: helm.Chart) -> None:
    always = {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"}

    assert rendered(chart, VALUES["gpu"]).keys() == always | {"PersistentVolumeClaim"}
    assert rendered(chart, VALUES["existing claim"]).keys() == always
    assert rendered(chart, VALUES["own weights"]).keys() == always
    more = {"HorizontalPodAutoscaler", "PersistentVolumeClaim"}
    assert rendered(chart, VALUES["autoscaling"]).keys() == always | more
    assert "NetworkPolicy" not in rendered(chart, VALUES["open"])


def test_selectors_select_the_pods(chart: helm.Chart) -> None:
    objects = rendered(chart, VALUES["key"])
    spec = {kind: each["spec"] for kind, each in objects.items()}
    labels = spec["Deployment"]["template"]["metadata"]["labels"].items()

    selectors = [spec["Service"]["selector"], spec["NetworkPolicy"]["podSelector"]["matchLabels"]]
    for kind in ("Deployment", "PodDisruptionBudget"):
        selectors.append(spec[kind]["selector"]["matchLabels"])
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
    of_services = spec["ServiceMonitor"]["selector"]["matchLabels"]
    assert of_services.items() <= objects["Service"]["metadata"]["labels"].items()


def test_a_gpu_or_none(chart: helm.Chart) -> None:
    (on_gpu,), (on_cpu,) = (
        pod(rendered(chart, VALUES[name]))["containers"] for name in ("gpu", "cpu")
    )

    assert on_gpu["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert on_cpu["resources"]["limits"].keys() == {"memory"}
    assert variables(on_cpu)["LLAMA_ARG_THREADS"] == "4"


def test_a_key_is_read_where_it_is_needed(chart: helm.Chart) -> None:
    objects = rendered(chart, VALUES["key"])

    for container in (*pod(objects)["initContainers"], *pod(objects)["containers"]):
        assert variables(container)["RERANKER_API_KEY"] == {"secretKeyRef": SECRET}
    (endpoint,) = objects["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": SECRET}
    one = {"enabled": True, "credentials": {"name": "prometheus", "key": "one"}}
    (endpoint,) = rendered(chart, VALUES["key"] | {"serviceMonitor": one})["ServiceMonitor"][
        "spec"
    ]["endpoints"]
    assert endpoint["authorization"] == {"credentials": one["credentials"]}


def test_no_secret_is_a_value(chart: helm.Chart) -> None:
    secret = {variable for _, variable, rule in RULES if rule.secret}

    for variable in (*secret, "HF_TOKEN", "LLAMA_API_KEY"):
        message = refused(chart, {"settings": {variable: "s3cret"}})
        assert f"secrets.{variable}" in message
        assert "s3cret" not in message


def test_what_contradicts_itself_is_refused(chart: helm.Chart) -> None:
    assert "image.repository is needed" in refused(chart, {"image": {"repository": ""}})
    assert "RERANKER_PORT is set by the chart: see service.port" in refused(
        chart, {"settings": {"RERANKER_PORT": 80}}
    )
    assert "weights.accessMode=ReadWriteOnce is a volume of one node" in refused(
        chart, {"replicas": 2}
    )
    assert "set ReadWriteMany" in refused(chart, {"autoscaling": {"enabled": True}})
    assert "HF_ENDPOINT is in settings and in secrets" in refused(
        chart, {"settings": {"HF_ENDPOINT": "a"}, "secrets": {"HF_ENDPOINT": SECRET}}
    )
    assert "replica" in refused(chart, {"replica": 2})


def test_settings_arrive_as_they_are_written(chart: helm.Chart) -> None:
    written = {"RERANKER_MAX_BODY_BYTES": 33554432, "A": 0.5, "B": True, "C": "<'\"{{ x }}\n"}
    (container,) = pod(rendered(chart, {"settings": written}))["containers"]

    arrived = variables(container)
    assert arrived["RERANKER_MAX_BODY_BYTES"] == "33554432"
    assert (arrived["A"], arrived["B"], arrived["C"]) == ("0.5", "true", written["C"])


def test_port_is_one_that_somebody_listens_on(chart: helm.Chart) -> None:
    def port(values: dict[str, Any]) -> Any:
        return rendered(chart, values)["Service"]["spec"]["ports"][0]["port"]

    (container,) = pod(rendered(chart, {}))["containers"]
    listens = container["ports"][0]["containerPort"]
    assert variables(container)["RERANKER_PORT"] == str(listens)
    assert port({}) == 80
    # Its name resolves to the pods.
    assert port(VALUES["own weights"]) == listens


def test_requests_in_the_model_may_finish(chart: helm.Chart) -> None:
    spec = pod(rendered(chart, {"drainSeconds": 100}))

    (container,) = spec["containers"]
    assert variables(container)["RERANKER_DRAIN_SECONDS"] == "100"
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    # start.sh gives the front 2 s more than it has, and llama-server 5.
    assert spec["terminationGracePeriodSeconds"] >= waits + 100 + 2 + 5


def test_pods_are_replaced_as_their_volume_allows(chart: helm.Chart) -> None:
    def strategy(values: dict[str, Any]) -> Any:
        return rendered(chart, values)["Deployment"]["spec"]["strategy"]["type"]

    assert strategy({}) == "Recreate"
    assert [strategy(VALUES[name]) for name in ("autoscaling", "own weights")] == [
        "RollingUpdate",
        "RollingUpdate",
    ]
    scaled = rendered(chart, VALUES["autoscaling"])["Deployment"]["spec"]
    assert "replicas" not in scaled


def test_who_may_ask_and_be_asked(chart: helm.Chart) -> None:
    def rules(values: dict[str, Any]) -> dict[str, Any]:
        spec: dict[str, Any] = rendered(chart, values)["NetworkPolicy"]["spec"]
        return spec

    def ports(values: dict[str, Any]) -> list[int]:
        return [each["port"] for rule in rules(values)["egress"] for each in rule["ports"]]

    assert len(rules({})["ingress"][0]["from"]) == 2
    assert rules(VALUES["choosy"])["ingress"] == []
    assert ports({}) == [53, 53, 443]
    assert ports(VALUES["existing claim"]) == [53, 53]
    assert ports(VALUES["choosy"]) == [53, 53, 443, 4318]


class Down(Pointwise):
    """Its llama-server is started again."""

    async def check(self) -> None:
        raise ModelError("llama-server is not ready")


@pytest.mark.anyio
async def test_probes_spare_a_pod_whose_llama_server_restarts(
    chart: helm.Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = rendered(chart, VALUES["autoscaling"])
    (container,) = pod(objects)["containers"]
    monkeypatch.setenv("RERANKER_API_KEY", "a-key")

    paths = [
        container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    ]

    async def statuses(model: Pointwise) -> list[int]:
        async with client(app_of(model)) as asking:
            return [(await asking.get(path)).status_code for path in paths]

    assert await statuses(Pointwise()) == [204, 204, 200]
    assert await statuses(Down()) == [204, 204, 503]


@pytest.mark.anyio
async def test_pods_are_added_by_a_metric_that_there_is(chart: helm.Chart) -> None:
    objects = rendered(chart, VALUES["autoscaling"])
    (scaled_by,) = objects["HorizontalPodAutoscaler"]["spec"]["metrics"]
    name = scaled_by["pods"]["metric"]["name"]

    async with client(app_of(Pointwise())) as asking:
        shown = (await asking.get("/metrics")).text

    # The request that asks is one.
    assert f"\n{name} 1.0\n" in shown
    assert f"seriesQuery: {name}{{" in (ROOT / "docs/operations.md").read_text()


def test_weights_are_prepared_once(chart: helm.Chart, model: Path, tmp_path: Path) -> None:
    """The service starts with what the init container left, and writes nothing there."""
    spec = pod(rendered(chart, {}))
    (first,), (service,) = spec["initContainers"], spec["containers"]
    for name in ("app", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "run").mkdir()
    files = {
        "a-Q8_0.gguf": (model / "model.gguf").read_bytes(),
        "projector.safetensors": (model / "projector.safetensors").read_bytes(),
    }

    def start(container: dict[str, Any], hub: Hub) -> dict[str, int]:
        """Names and times of the files that are there then."""
        subprocess.run(
            # As in the image, but for its interpreter and its folder.
            [sys.executable, *first["command"][1:-1], "run"],
            cwd=tmp_path,
            env=environment(
                **variables(container) | free_ports(), HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path)
            ),
            check=True,
        )
        # Hidden ones are hashes, remembered where they can be written.
        found = (tmp_path / "weights/jina-reranker-v3").glob("[!.]*")
        return {path.name: path.stat().st_mtime_ns for path in found}

    with Hub(CARDS["jina-reranker-v3"].repository, files) as hub:
        there = start(first, hub)
        asked = len(hub.requests)

        assert start(service, hub) == there
        assert len(hub.requests) == asked > 0

    assert there.keys() > files.keys()
    mounts = {each["name"]: each for each in service["volumeMounts"]}
    assert mounts["weights"]["readOnly"]
