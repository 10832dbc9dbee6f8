"""What an operator may set, from where, and what is refused.

Owns names, defaults and limits of settings. A flag of the command line wins over an environment
variable `DRAWDOWN_*`, which wins over the default. `DATABASE_URL` and the `OTEL_*` variables keep
their standard names; the latter are read in `ledger.telemetry`. Must not open anything.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import AliasChoices, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.auth.asked import LEEWAY_S_DEFAULT, REFRESH_S_DEFAULT, Asked
from ledger.core.limits import SECOND_US
from ledger.engine.upkeep import Upkeep
from ledger.gateway.routes import Defaults
from ledger.gateway.sources import SourceInvalid, source_of
from ledger.journal.embedded_host import default_data_directory
from ledger.loopback import is_loopback
from ledger.projections.lag import LAG_MAX_US
from ledger.telemetry.http_bounds import Bounds

LISTEN_DEFAULT: Final = "127.0.0.1:8433"
METRICS_PORT_DEFAULT: Final = 9464  # the usual one of OpenTelemetry's Prometheus exporters
HTTP: Final = Bounds()
PORT_MAX: Final = 65_535
UPKEEP: Final = Upkeep()


class SettingsInvalid(ValueError):
    """A setting cannot be used; the message names it, its value and what to do."""


class DatabaseSettings(BaseSettings):
    """Where the books are: `database_url`, or a PostgreSQL of our own in `data_dir`."""

    model_config = SettingsConfigDict(
        env_prefix="DRAWDOWN_",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        defer_build=True,  # a process uses one of the classes, and building all takes longer
    )

    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("database_url", "DATABASE_URL")
    )
    data_dir: Path = Field(default_factory=default_data_directory)
    shards: int | None = None
    connect_timeout_s: int = Field(default=30, ge=1, le=3_600)
    """How long to go on trying while PostgreSQL is away at the start."""


class ProjectorSettings(DatabaseSettings):
    """How the read models are kept up."""

    projection_lag_s: int = Field(default=LAG_MAX_US // SECOND_US, ge=0, le=3_600)
    """So far behind the read models may fall while the writers need the machine."""


class SealSettings(DatabaseSettings):
    """Who seals the journal, and how often."""

    seal_key: str | None = None
    """A file with an Ed25519 private key in PEM, or the PEM text itself. None: with an embedded
    PostgreSQL the one in its data directory, else none, and no seals."""

    seal_every_s: int = Field(default=10, ge=1, le=3_600)
    """Seconds between two seals of a shard that goes on."""


class AuthSettings(DatabaseSettings):
    """How callers prove who they are."""

    auth: bool = False
    """Ask every caller, also on loopback. Naming keys or certificates below asks for it, too."""

    mandate_key: Path | None = None
    """The Ed25519 private key (PEM) that signs tokens of agents' mandates, and verifies them."""

    mandate_key_before: Path | None = None
    """The one before it, whose tokens are still taken."""

    auth_jwks: str | None = None
    """Public keys that verify signed tokens (JWT): a file in PEM, JWK or JWKS, or an https URL."""

    auth_issuer: str = ""
    """The `iss` of those tokens."""

    auth_audience: str = ""
    """What their `aud` has to hold: this ledger's name with the issuer."""

    auth_leeway_s: int = Field(default=LEEWAY_S_DEFAULT, ge=0, le=300)
    """What clocks may differ by when tokens begin and expire."""

    auth_refresh_s: int = Field(default=REFRESH_S_DEFAULT, ge=1, le=86_400)
    """Seconds between two readings of those keys: so long a key that was taken away may go on."""

    auth_certificates: Path | None = None
    """Which client certificates stand for whom (TOML); with --tls-client-ca."""


_OF_THE_SPOOL: Final = ("gateway_spool_mib", "gateway_open_calls", "gateway_open_quantities")
"""Settings that mean nothing where no gateway's spool is."""


class ServerSettings(AuthSettings, SealSettings, ProjectorSettings):
    """A server's settings. Beyond loopback callers prove who they are, unless told otherwise."""

    listen: str = LISTEN_DEFAULT
    insecure_listen: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """Clients prove themselves by a certificate of this authority."""

    tls_peer_ca: Path | None = None
    """The authority of the other servers' certificates, where it is not that of the clients."""

    advertise: str | None = None
    """host:port where other servers and clients reach this one; by default what it listens on."""

    lease_term_ms: int = Field(default=2_000, ge=200, le=60_000)
    """How long a shard stays with a server that is not heard of; reads wait for its renewals."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=METRICS_PORT_DEFAULT, ge=0, le=PORT_MAX)
    http_head_s: int = Field(default=int(HTTP.head_s), ge=1, le=3_600)
    """How long the head of a request may take at the side port."""

    http_body_s: int = Field(default=int(HTTP.body_s), ge=1, le=3_600)
    """And its body."""

    http_answer_s: int = Field(default=int(HTTP.answer_s), ge=1, le=3_600)
    """And its answer, read by whoever asked."""

    http_idle_s: int = Field(default=int(HTTP.idle_s), ge=1, le=3_600)
    """So long a connection of the side port is kept between two requests."""

    http_connections: int = Field(default=HTTP.connections, ge=8, le=100_000)
    """Connections of the side port at once."""

    projector: bool = True
    sealer: bool = True
    drain_s: int = Field(default=10, ge=0, le=600)
    """How long calls in flight may take to finish when the server stops."""

    checkpoint_entries: int = Field(default=UPKEEP.checkpoint_entries, ge=1)
    """Entries of a shard between two checkpoints: a restart replays about as many."""

    checkpoint_interval_s: int = Field(
        default=UPKEEP.checkpoint_interval_us // SECOND_US, ge=1, le=86_400
    )
    """A quiet shard is checkpointed this often, if anything was recorded."""

    resident_families: int = Field(default=UPKEEP.resident_families, ge=1)
    """Families that stay in memory of one shard, about 2 kB each."""

    idle_s: int = Field(default=UPKEEP.idle_us // SECOND_US, ge=1)
    """A family that nothing touched for so long leaves memory."""

    gateway_tenant: str = "default"
    """Tenant of a gateway's routes that name none."""

    gateway_account: str = ""
    """Where a gateway's routes that do not say it find the account: header:NAME, jwt:CLAIM,
    metadata:NAMESPACE:KEY or principal. Empty: each route says its own."""

    gateway_pay_url: str = ""
    """Where a client that a gateway denied for lack of credits can buy some."""

    gateway_spool: Path | None = None
    """A folder of this server's own, where what open products let in while a shard is away is kept
    until it is recorded. None: gateways let nothing in then."""

    gateway_spool_mib: int = Field(default=64, ge=8, le=65_536)
    """How much that folder may hold, in MiB; then no more is let in."""

    gateway_open_calls: int = Field(default=1_000, ge=1, le=1_000_000)
    """So many requests of an account are let in and not recorded, at most."""

    gateway_open_quantities: str = ""
    """And of these quantities so much of an account: NAME=AMOUNT, several with commas."""

    slow_call_ms: int = Field(default=500, ge=1)
    """A call that took at least this long is traced, sampled or not."""

    @property
    def upkeep(self) -> Upkeep:
        """The same in the engine's words."""
        return Upkeep(
            self.checkpoint_entries,
            self.checkpoint_interval_s * SECOND_US,
            self.resident_families,
            self.idle_s * SECOND_US,
        )

    @property
    def http_bounds(self) -> Bounds:
        """The side port's."""
        return Bounds(
            self.http_head_s,
            self.http_body_s,
            self.http_answer_s,
            self.http_idle_s,
            self.http_connections,
        )

    @property
    def gateway(self) -> Defaults:
        """The same as gateways' routes take it."""
        return Defaults(self.gateway_tenant, self.gateway_account, self.gateway_pay_url)

    @property
    def open_quantities(self) -> dict[str, int]:
        """The same by name. Raises ValueError."""
        quantities = dict[str, int]()
        for part in filter(None, map(str.strip, self.gateway_open_quantities.split(","))):
            name, _, amount = part.partition("=")
            if not name or not amount.isascii() or not amount.isdigit() or int(amount) == 0:
                raise ValueError(
                    f"--gateway-open-quantities: {part!r} is not NAME=AMOUNT, 1 or more"
                )
            quantities[name] = int(amount)
        return quantities

    @model_validator(mode="after")
    def _check_gateway(self) -> Self:
        try:
            source_of(self.gateway_account)
        except SourceInvalid as error:
            raise ValueError(f"--gateway-account: {error}") from None
        _ = self.open_quantities
        bounds = [each for each in _OF_THE_SPOOL if each in self.model_fields_set]
        bounds = [each for each in bounds if getattr(self, each)]
        if bounds and self.gateway_spool is None:
            names = ", ".join(f"--{each.replace('_', '-')}" for each in bounds)
            raise ValueError(
                f"{names}: this bounds what is let in while a shard is away, and without a folder "
                "to keep it nothing is: add --gateway-spool DIR"
            )
        return self

    @property
    def asks_callers(self) -> Asked | None:
        """How every caller is asked to prove who it is; None: nobody is asked.

        Asked for by --auth, --auth-jwks, --auth-certificates, --mandate-key or --tls-client-ca;
        and always beyond loopback, unless --insecure-listen says that the network is trusted.
        """
        explicit = (
            self.auth
            or self.auth_jwks is not None
            or self.auth_certificates is not None
            or self.mandate_key is not None
        )
        beyond = not self.insecure_listen and not is_loopback(split_address(self.listen)[0])
        if not explicit and not beyond and self.tls_client_ca is None:
            return None
        return Asked(
            jwks=self.auth_jwks,
            issuer=self.auth_issuer,
            audience=self.auth_audience,
            leeway_s=self.auth_leeway_s,
            refresh_s=self.auth_refresh_s,
            certificates=self.auth_certificates,
            any_certificate=not explicit and self.tls_client_ca is not None,
        )

    @model_validator(mode="after")
    def _check_auth(self) -> Self:
        if self.auth_jwks is not None and not (self.auth_issuer and self.auth_audience):
            raise ValueError(
                "--auth-jwks needs --auth-issuer and --auth-audience: without them a token that "
                "was made for somebody else would be taken"
            )
        if self.auth_jwks is None and (self.auth_issuer or self.auth_audience):
            raise ValueError("--auth-issuer and --auth-audience are of tokens: give --auth-jwks")
        if self.auth_certificates is not None and self.tls_client_ca is None:
            raise ValueError("--auth-certificates needs --tls-client-ca, which verifies them")
        if self.mandate_key_before is not None and self.mandate_key is None:
            raise ValueError("--mandate-key-before is the key before --mandate-key: give that too")
        return self

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        host, _ = split_address(self.listen)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both --tls-cert and --tls-key; one of them is missing")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("--tls-client-ca needs TLS: give --tls-cert and --tls-key too")
        if self.tls_peer_ca is not None and self.tls_cert is None:
            raise ValueError("--tls-peer-ca needs TLS: give --tls-cert and --tls-key too")
        if self.advertise is not None and is_any(split_address(self.advertise)[0]):
            raise ValueError(f"--advertise {self.advertise} is no address that others can reach")
        for path in (self.tls_cert, self.tls_key, self.tls_client_ca, self.tls_peer_ca):
            if path is not None and not path.is_file():
                raise ValueError(f"the TLS file {path} does not exist")
        if self.insecure_listen:
            return self
        if self.tls_cert is None and not is_loopback(host):
            raise ValueError(
                f"--listen {self.listen} is open beyond this machine: give --tls-cert and "
                "--tls-key, so that nobody reads the tokens by which callers prove themselves, or "
                "--insecure-listen if the network itself is trusted"
            )
        if not is_loopback(self.metrics_host):
            raise ValueError(
                f"the side port on {self.metrics_host} is open beyond this machine: use 127.0.0.1, "
                "or --insecure-listen if the network itself is trusted"
            )
        return self


SettingsT = TypeVar("SettingsT", bound=DatabaseSettings)


def load_settings(kind: type[SettingsT], **given: Any) -> SettingsT:
    """Settings of that kind; `given` are the flags, None where a flag was left out.

    Raises SettingsInvalid with every fault.
    """
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsInvalid("; ".join(_fault(fault) for fault in error.errors())) from None


def split_address(address: str) -> tuple[str, int]:
    """(host, port) of `host:port` or `[ipv6]:port`. Raises ValueError with what is wrong."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit():
        raise ValueError(f"{address!r} is not an address: write host:port, like {LISTEN_DEFAULT}")
    if int(port) > PORT_MAX:
        raise ValueError(f"{address!r}: the port is at most {PORT_MAX}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_any(host: str) -> bool:
    """Whether it stands for all addresses of this machine, and so for none that others can use."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _fault(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"]).lower()
    message: str = fault["msg"].removeprefix("Value error, ")
    if not place:
        return message
    shown = "" if place == "database_url" else f" = {fault['input']!r}"  # may hold a password
    return f"{place}{shown}: {message}"
