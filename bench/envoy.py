"""A stock Envoy before two authorisation services: ours, and an empty one; no upstream behind it.

It answers every request that is allowed by itself, so what is measured is the question. Loopback
only; gone with its block.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.processes import free_address
from bench.programs import find_envoy

READY_TIMEOUT_S: Final = 120
STOP_TIMEOUT_S: Final = 10
TYPES: Final = "type.googleapis.com/envoy.extensions"
EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
EMPTY: Final = "empty"
OURS: Final = "ours"
WORK: Final = {
    "account": "header:x-account",
    "product": "gpt-4o",
    "attribute.mode": "standard",
    "attribute.region": "eu",
    "quantity.input_tokens": "1000",
    "quantity.output_tokens": "200",
    "lifetime_s": "60",
}
"""The route's work, priced by the workload's card."""


@contextlib.contextmanager
def envoy(services: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], int]]:
    """The address before each service, by its name, and Envoy's process id."""
    fronts = {name: free_address() for name in services}
    admin = free_address()
    with tempfile.TemporaryDirectory(prefix="drawdown-bench-envoy-") as folder:
        file, log = Path(folder) / "envoy.json", Path(folder) / "envoy.log"
        file.write_text(json.dumps(_configuration(services, fronts, admin)))
        command = [find_envoy(), "--config-path", file, "--use-dynamic-base-id"]
        with log.open("wb") as said:
            process = subprocess.Popen(
                [*command, "--concurrency", "1", "--log-level", "error"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        try:
            _await_ready(process, admin, log)
            yield fronts, process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(process: subprocess.Popen[bytes], admin: str, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{admin}/ready"):
            return
        time.sleep(0.02)
    raise RuntimeError(f"Envoy does not serve:\n{log.read_text()[-2_000:]}")


def _configuration(
    services: Mapping[str, str], fronts: Mapping[str, str], admin: str
) -> dict[str, Any]:
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [_listener(name, front) for name, front in fronts.items()],
            "clusters": [_cluster(name, service) for name, service in services.items()],
        },
    }


def _listener(name: str, front: str) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": ["*"],
                    "routes": [_route("/check", "check"), _route("/hold", "hold")],
                }
            ]
        },
        "http_filters": [
            {
                "name": EXT_AUTHZ,
                "typed_config": {
                    "@type": f"{TYPES}.filters.http.ext_authz.v3.ExtAuthz",
                    "transport_api_version": "V3",
                    "grpc_service": {"envoy_grpc": {"cluster_name": name}, "timeout": "60s"},
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
            },
        ],
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {"name": name, "address": _address(front), "filter_chains": [{"filters": [network]}]}


def _route(path: str, mode: str) -> dict[str, Any]:
    per_route = {
        "@type": f"{TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "check_settings": {"context_extensions": {**WORK, "mode": mode}},
    }
    return {
        "match": {"path": path},
        "direct_response": {"status": 200},
        "typed_per_filter_config": {EXT_AUTHZ: per_route},
    }


def _cluster(name: str, service: str) -> dict[str, Any]:
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(service)}}]}
    return {
        "name": name,
        "type": "STATIC",
        "typed_extension_protocol_options": {
            protocol: {
                "@type": f"type.googleapis.com/{protocol}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
    }


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
