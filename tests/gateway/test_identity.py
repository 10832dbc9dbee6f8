"""Whose request it is, as a stock Envoy has proven it: by a JWT, or by a client's certificate.

deploy/envoy.yaml with what docs/gateway.md adds to it.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.auth.issuing import jwks, new_key, token
from tests.docs.examples import ROOT
from tests.gateway.certificates import Authority
from tests.gateway.front import Caller, Front, configuration
from tests.patience import HANGS_S

PAGE = (ROOT / "docs" / "gateway.md").read_text()
GRANTED = 1_000_000
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def listener(configured: dict[str, Any]) -> Any:
    [only] = configured["static_resources"]["listeners"]
    return only["filter_chains"][0]


def routes(configured: dict[str, Any]) -> Any:
    manager = listener(configured)["filters"][0]["typed_config"]
    return manager["route_config"]["virtual_hosts"][0]["routes"]


def accounts_from(configured: dict[str, Any], source: str) -> None:
    for route in routes(configured):
        settings = route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]
        if "check_settings" in settings:  # else it asks nobody
            settings["check_settings"]["context_extensions"]["account"] = source


@pytest.fixture
def front(module_database: str, tmp_path: Path) -> Iterator[Front]:
    made = Front(module_database, tmp_path)
    made.server.start()
    asyncio.run(made.server.ready())
    yield made
    made.stop()


async def opened(caller: Caller, account: str) -> None:
    if not [each async for each in caller.ledger.list_assets()]:
        await caller.prices()
    await caller.account(account, GRANTED)


async def test_by_a_verified_claim_and_no_other(front: Front, tmp_path: Path) -> None:
    key, stranger = new_key("ES256"), new_key("ES256")
    keys = tmp_path / "jwks.json"
    keys.write_bytes(jwks(key))
    [shown] = re.findall(r"```yaml\n(- name: envoy.filters.http.jwt_authn\n.*?)```", PAGE, re.S)
    [added] = yaml.safe_load(shown)
    provider = added["typed_config"]["providers"]["issuer"]
    provider["local_jwks"]["filename"] = str(keys)
    configured = yaml.safe_load(configuration(front.ports))
    listener(configured)["filters"][0]["typed_config"]["http_filters"].insert(0, added)
    accounts_from(configured, "jwt:org")
    await asyncio.to_thread(front.start_envoy, yaml.safe_dump(configured))
    async with front.caller() as caller:
        await opened(caller, "claimed")
        claims = {"iss": provider["issuer"], "org": "claimed"}

        async def asks(signed_by: Any) -> httpx.Response:
            bearer = {"authorization": f"Bearer {token(signed_by, 'ES256', **claims)}"}
            forged = {"x-account": "rich", "x-say-output": "1"}
            return await caller.client.post("/v1/chat", headers=bearer | forged)

        assert (await asks(stranger)).status_code == 401
        reply = await asks(key)
        assert reply.status_code == 200, reply.text
        assert reply.json()["seen"]["x-drawdown-account"] == "claimed"
        await caller.settled("claimed")
        assert await caller.available("claimed") == GRANTED - 10


async def test_by_the_certificate_of_the_client(front: Front, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("localhost"), authority.issue("spiffe://mesh/acme")
    configured = yaml.safe_load(configuration(front.ports))
    listener(configured)["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": TLS,
            "require_client_certificate": True,
            "common_tls_context": {
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": str(server.certificate)},
                        "private_key": {"filename": str(server.key)},
                    }
                ],
                "validation_context": {"trusted_ca": {"filename": str(authority.certificate)}},
            },
        },
    }
    accounts_from(configured, "principal")
    await asyncio.to_thread(front.start_envoy, yaml.safe_dump(configured))
    trusting = ssl.create_default_context(cafile=authority.certificate)
    trusting.load_cert_chain(client.certificate, client.key)
    async with (
        front.caller() as caller,
        httpx.AsyncClient(
            base_url=f"https://localhost:{front.ports['front']}", verify=trusting, timeout=HANGS_S
        ) as proven,
    ):
        await opened(caller, "spiffe://mesh/acme")
        reply = await proven.post("/v1/chat", headers={"x-account": "rich", "x-say-output": "1"})
        assert reply.status_code == 200, reply.text
        await caller.settled("spiffe://mesh/acme")
        assert await caller.available("spiffe://mesh/acme") == GRANTED - 10
