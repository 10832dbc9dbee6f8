"""`drawdown serve`: run a ledger until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import click

from ledger.cli.database import database, database_options
from ledger.cli.output import json_option
from ledger.cli.sealing import key_to_seal_with, seal_key_option

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--listen", help="Address of the gRPC services.  [default: 127.0.0.1:8433]")
@click.option(
    "--advertise",
    help="host:port where other servers of the database, and clients, reach this one.  "
    "[default: what it listens on]",
)
@click.option("--tls-cert", type=FILE, help="Certificate chain (PEM); with --tls-key.")
@click.option("--tls-key", type=FILE, help="Private key (PEM); with --tls-cert.")
@click.option(
    "--tls-client-ca",
    type=FILE,
    help="Clients prove themselves by a certificate of this authority (PEM).",
)
@click.option(
    "--tls-peer-ca",
    type=FILE,
    help="Authority of the other servers' certificates (PEM).  [default: --tls-client-ca]",
)
@click.option(
    "--insecure-listen",
    is_flag=True,
    default=None,
    help="Allow addresses beyond this machine for clients that prove nothing: only where the "
    "network itself is trusted.",
)
@click.option(
    "--auth",
    is_flag=True,
    default=None,
    help="Ask every caller to prove who it is, also on this machine: by an API key or a token.",
)
@click.option(
    "--mandate-key",
    type=FILE,
    help="The private key (Ed25519, PEM) that signs tokens of agents' mandates.",
)
@click.option(
    "--mandate-key-before",
    type=FILE,
    help="The key before it, whose tokens are still taken.",
)
@click.option(
    "--auth-jwks",
    help="Public keys of whoever signs tokens (JWT): a file (PEM, JWK, JWKS) or an https URL.",
)
@click.option("--auth-issuer", help="The issuer (iss) of those tokens.")
@click.option("--auth-audience", help="The audience (aud) that they have to be for.")
@click.option(
    "--auth-refresh-s",
    type=click.IntRange(1, 86_400),
    help="Seconds between two readings of those keys.  [default: 60]",
)
@click.option(
    "--auth-certificates",
    type=FILE,
    help="Which client certificates stand for whom (TOML); with --tls-client-ca.",
)
@click.option(
    "--lease-term-ms",
    type=click.IntRange(200, 60_000),
    help="How long other servers wait for one that is not heard of, in ms.  [default: 2000]",
)
@click.option("--metrics-host", help="Host of the side port.  [default: 127.0.0.1]")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Port of /metrics, /healthz, /readyz, /v1/check and /api/v1/events; 0 = any free one.  "
    "[default: 9464]",
)
@click.option("--gateway-tenant", help="Tenant of gateways' routes.  [default: default]")
@click.option(
    "--gateway-account",
    help="Where gateways' routes find the account: header:NAME, jwt:CLAIM, "
    "metadata:NAMESPACE:KEY or principal.",
)
@click.option("--gateway-pay-url", help="Where clients that lack credits are sent to.")
@click.option(
    "--gateway-spool",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of this server's own for what gateways' open products let in while a shard is "
    "away.  [default: none, and nothing is let in]",
)
@click.option(
    "--gateway-spool-mib",
    type=click.IntRange(8, 65_536),
    help="How much it may hold, in MiB.  [default: 64]",
)
@click.option(
    "--gateway-open-calls",
    type=click.IntRange(1, 1_000_000),
    help="Requests of one account that are let in and not recorded, at most.  [default: 1000]",
)
@click.option(
    "--gateway-open-quantities",
    help="And so much of these quantities: NAME=AMOUNT, several with commas.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 1_024),
    help="How many shards; only a new ledger may choose.  [default: 4]",
)
@click.option(
    "--no-projector",
    is_flag=True,
    help="Do not run the projector beside the server: it runs elsewhere (`drawdown project`).",
)
@click.option(
    "--no-sealer",
    is_flag=True,
    help="Do not seal the journal here: the sealer runs elsewhere (`drawdown seal`).",
)
@click.option(
    "--seal-every-s",
    type=click.IntRange(1, 3_600),
    help="Seconds between two seals of a shard that goes on.  [default: 10]",
)
@seal_key_option
@database_options
@json_option
def serve(no_projector: bool, no_sealer: bool, as_json: bool, **flags: Any) -> None:
    """Run a ledger on 127.0.0.1:8433 until Ctrl-C or SIGTERM.

    Brings its own PostgreSQL and migrates it by itself. With DATABASE_URL it uses yours, which
    `drawdown migrate` prepares. Several servers on one database share its shards.

    \b
    Every option is also an environment variable: --listen is DRAWDOWN_LISTEN, and so on.
    Traces leave when OTEL_EXPORTER_OTLP_ENDPOINT names a collector (gRPC).
    --json prints one line when the server is ready:
      {"event": "ready", "address": ..., "metrics": ..., "shards": ..., "pid": ...}
    and, with its own PostgreSQL, "database_url": the DATABASE_URL for a second server.
    """
    import uvloop

    from ledger.settings import ServerSettings, load_settings

    settings = load_settings(
        ServerSettings,
        projector=False if no_projector else None,
        sealer=False if no_sealer else None,
        **flags,
    )
    from ledger.cli.serving import serve_until_signal  # the whole server, settings being right

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("asyncpg").setLevel(logging.ERROR)  # the writers say when it is away
    with (
        database(settings, create=True) as books,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        settings.seal_key = key_to_seal_with(settings) if settings.sealer else None
        runner.run(serve_until_signal(settings, books, as_json))
