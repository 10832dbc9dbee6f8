"""All of telemetry put together from the environment.

Spans leave only if the standard variables ask for it: an OTLP endpoint, or
`OTEL_TRACES_EXPORTER=otlp`; never with `OTEL_SDK_DISABLED=true` or `OTEL_TRACES_EXPORTER=none`.
Metrics are always counted and never leave by themselves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from ledger.telemetry.metrics import TallyCollector, registry
from ledger.telemetry.observer import BatchObserver
from ledger.telemetry.rpc import SLOW_CALL_US, RpcTelemetry
from ledger.telemetry.sampling import sampler_from
from ledger.telemetry.spans import (
    EXPORT_DELAY_MS,
    EXPORT_SPANS_MAX,
    QUEUE_SPANS_MAX,
    SpanExport,
)
from ledger.telemetry.tallies import Tallies

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SERVICE_NAME: Final = "drawdown"


class TelemetryInvalid(ValueError):
    """The environment asks for something that cannot be had; the message says what to do."""


class Telemetry:
    """One process's tallies, and the hooks that fill them."""

    def __init__(
        self,
        shards: int,
        environment: Mapping[str, str],
        slow_call_us: int = SLOW_CALL_US,
    ) -> None:
        """Raises TelemetryInvalid, SamplerUnknown."""
        self.tallies = Tallies(shards)
        self.export = span_export(environment)
        sampler = sampler_from(environment)
        self.rpc = RpcTelemetry(self.tallies, sampler, self.export, slow_call_us)
        self.observer = BatchObserver(self.tallies, self.export, slow_call_us)
        collector = TallyCollector(self.tallies, self.export, lambda: time.time_ns() // 1_000)
        self.registry = registry(collector)

    def close(self) -> None:
        """Send what is left."""
        if self.export is not None:
            self.export.close()


def span_export(environment: Mapping[str, str]) -> SpanExport | None:
    """The way out for spans, if the environment asks for one. Raises TelemetryInvalid."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp", "none"):
        raise TelemetryInvalid(
            f"OTEL_TRACES_EXPORTER={exporter}: spans are exported by otlp, or none"
        )
    if exporter == "none" or (not exporter and not any(map(environment.get, ENDPOINTS))):
        return None
    protocol = next(filter(None, map(environment.get, PROTOCOLS)), "grpc")
    if protocol != "grpc":
        raise TelemetryInvalid(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: spans are exported by grpc; name the "
            "collector's gRPC port (4317 by default) as the endpoint and leave the protocol out"
        )
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource

    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE_NAME}
    if "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        named = {}
    return SpanExport(
        OTLPSpanExporter(),
        Resource.create({**named}),
        _number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SPANS_MAX),
        _number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", EXPORT_SPANS_MAX),
        _number(environment, "OTEL_BSP_SCHEDULE_DELAY", EXPORT_DELAY_MS),
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise TelemetryInvalid(f"{name}={text}: a whole number above 0 is needed")
    return int(text)
