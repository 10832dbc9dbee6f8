"""The composition and the image, checked without a container engine."""

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COLLECTOR = yaml.safe_load((ROOT / "deploy" / "otel-collector.yaml").read_text())


def test_the_composition_has_every_part() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "server", "projector", "collector", "jaeger"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_what_it_runs(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert (ROOT / service["build"] / "Dockerfile").is_file()
        return
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert tag not in ("", "latest"), "a version is pinned"


@pytest.mark.parametrize("name", SERVICES)
def test_every_published_port_is_on_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        host, outside, inside = port.split(":")
        assert ipaddress.ip_address(host).is_loopback
        assert outside == inside


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_is_waited_for_can_say_that_it_is_ready(name: str) -> None:
    needs = SERVICES[name].get("depends_on", {})
    for other in needs:
        condition = needs[other]["condition"] if isinstance(needs, dict) else "service_started"
        if condition == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        if condition == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"


def test_the_server_and_its_database_are_watched() -> None:
    assert "healthcheck" in SERVICES["postgres"]
    assert any("/readyz" in part for part in SERVICES["server"]["healthcheck"]["test"])


def test_every_mounted_file_exists_and_every_volume_is_named() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file()
            else:
                assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_every_command_of_ours_exists_with_its_options(name: str) -> None:
    from ledger.cli.app import cli

    first, *options = SERVICES[name]["command"]
    known = {option for each in cli.commands[first].params for option in each.opts}
    assert {option.partition("=")[0] for option in options} <= known


def test_traces_go_from_the_server_to_the_collector_to_jaeger() -> None:
    endpoint = SERVICES["server"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    port = COLLECTOR["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rpartition(":")[2]
    assert endpoint == f"http://collector:{port}"
    assert COLLECTOR["exporters"]["otlp/jaeger"]["endpoint"].split(":")[0] in SERVICES
    pipeline = COLLECTOR["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) <= set(COLLECTOR[kind])


def test_the_image_runs_as_nobody_in_particular_with_pinned_versions() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.search(r"^USER (?!root|0)\w+$", final, re.MULTILINE)
    assert "-c constraints.txt" in DOCKERFILE
    assert all(image.endswith("-slim") for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))


def test_everything_that_the_image_copies_exists_and_is_sent() -> None:
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert sent[0] == "*"
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}" in sent
