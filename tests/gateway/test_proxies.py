"""Real proxies ask over HTTP before a request runs, each with its documented file (deploy/).

A token in costs 1 minor unit, one out 10; the files estimate 500 in and x-max-tokens or 1,000 out.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.programs import ROOT
from ledger.gateway import replies
from ledger.journal.embedded import EmbeddedPostgres
from ledger.verify import verify
from tests.auth.issuing import AUDIENCE, ISSUER, jwks, kid_of, new_key, token
from tests.conftest import copied
from tests.gateway.proxies import KINDS, PAY_URL, Behind, Kind, Proxied
from tests.patience import HANGS_S

GRANTED = 100_000
SENDERS, KILLS, BETWEEN_KILLS = 4, 2, 25
PAGE = ROOT / "docs" / "gateway.md"
ESTIMATE = 500 + 10 * 1_000
ACCOUNTS = (
    "acme",
    "poor",
    "forged",
    "victim",
    "plain",
    "pinned",
    "chunks",
    "timed",
    "traffic",
    "asked",
    "open",
    "unknown",
)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def proxied(
    request: pytest.FixtureRequest,
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxied]:
    """A proxy before a served ledger with prices; `verify` finds no fault when all is over."""
    kind: Kind = request.param
    with contextmanager(copied)(postgres_server, template_database) as dsn:
        made = Proxied(kind, dsn, tmp_path_factory.mktemp(kind.name), ACCOUNTS)
        try:
            made.start()
            asyncio.run(_prices(made))
            yield made
        finally:
            made.stop()
        report = asyncio.run(verify(dsn))
        assert report.ok, report.findings


async def _prices(proxied: Proxied) -> None:
    async with proxied.caller() as caller:
        await caller.prices()


@pytest.fixture
async def caller(proxied: Proxied) -> AsyncIterator[Behind]:
    async with proxied.caller() as made:
        yield made


async def test_what_can_be_paid_runs_and_the_service_settles_its_hold(caller: Behind) -> None:
    account = await caller.account("acme", GRANTED)
    reply = await caller.ask(account)
    assert reply.status_code == 200
    seen = reply.json()["seen"]
    assert seen["x-drawdown-account"]
    assert caller.proxied.upstream.bodies[-1] == {"asks": account}  # it came through as it was
    if not caller.proxied.kind.holds:
        assert seen["x-drawdown-available"] == str(GRANTED)
        assert not await caller.holds(account)
        return
    [hold] = await caller.holds(account)
    assert hold.hold_id == seen["x-drawdown-hold-id"]
    assert await caller.available(account) == GRANTED - ESTIMATE
    await caller.ledger.capture(hold.hold_id, {"input_tokens": 10, "output_tokens": 2})
    assert await caller.available(account) == GRANTED - 30


async def test_a_client_that_lacks_credits_is_told_why_and_where_to_pay(caller: Behind) -> None:
    account = await caller.account("poor", ESTIMATE - 1)
    runs = len(caller.proxied.upstream.asked)
    reply = await caller.ask(account)
    assert reply.status_code == 402
    assert reply.headers[replies.DECISION] == "DENY"
    assert reply.headers[replies.REASON] == "INSUFFICIENT_CREDITS"
    assert reply.headers[replies.PAY] == PAY_URL
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json()["error"]["account"] == account
    assert reply.json()["pay"] == {
        "asset": "credit",
        "scale": 6,
        "needed": str(ESTIMATE),
        "available": str(ESTIMATE - 1),
        "short_by": "1",
        "url": PAY_URL,
    }
    assert len(caller.proxied.upstream.asked) == runs
    assert (await caller.ask(account, x_max_tokens=999)).status_code == 200  # smaller work runs


async def test_other_denials_keep_their_status_and_body(caller: Behind) -> None:
    unknown = await caller.ask("unknown")
    assert (unknown.status_code, unknown.headers[replies.REASON]) == (403, "ACCOUNT_UNKNOWN")
    account = await caller.account("plain", GRANTED)
    no_number = await caller.ask(account, x_max_tokens="many")
    assert no_number.status_code == 400
    assert "many" in no_number.json()["error"]["message"]
    assert not await caller.holds(account)


async def test_nobody_and_a_wrong_key_do_not_run(caller: Behind) -> None:
    runs = len(caller.proxied.upstream.asked)
    assert (await caller.ask("")).status_code == 401
    assert (await caller.ask("stranger")).status_code == 401
    assert len(caller.proxied.upstream.asked) == runs


async def test_a_client_cannot_say_who_it_is_nor_what_drawdown_said(caller: Behind) -> None:
    forged = await caller.account("forged", 0)
    victim = await caller.account("victim", GRANTED)
    named = {"x_account": victim, "x_drawdown_account": victim}
    runs = len(caller.proxied.upstream.asked)
    assert (await caller.ask(forged, **named)).status_code == 402
    assert (await caller.ask("", **named)).status_code == 401
    for dropped in ("x-account", "x-drawdown-account, x-request-id"):  # as hop by hop
        reply = await caller.ask(forged, **named, connection=dropped)
        assert reply.status_code in (401, 402)
    assert len(caller.proxied.upstream.asked) == runs
    assert await caller.available(victim) == GRANTED
    sent = dict.fromkeys(replies.OURS, "forged")
    reply = await caller.ask(victim, **sent, drawdown_authorization="forged")
    assert reply.status_code == 200
    assert "forged" not in reply.json()["seen"].values()


async def test_a_request_id_of_a_client_does_not_make_two_requests_one(caller: Behind) -> None:
    account = await caller.account("pinned", GRANTED)
    said = [await caller.ask(account, x_request_id="pinned") for _ in range(3)]
    assert [reply.status_code for reply in said] == [200] * 3
    holds = await caller.holds(account)
    assert len(holds) == (3 if caller.proxied.kind.holds else 0)


async def test_a_body_in_chunks_stays_with_the_service(caller: Behind) -> None:
    """The question has no body, whatever the request has."""
    account = await caller.account("chunks", GRANTED)

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"in": '
        await asyncio.sleep(0.01)
        yield b'"chunks"}'

    for method in ("POST", "PUT", "DELETE"):
        headers = {**caller.proxied.kind.credentials(account), "content-type": "application/json"}
        reply = await caller.client.request(method, "/v1/x", headers=headers, content=chunks())
        assert reply.status_code in (200, 405)  # of the service
    assert caller.proxied.upstream.bodies[-1] == {"in": "chunks"}


async def test_drawdown_is_killed_amid_traffic_and_comes_back(proxied: Proxied) -> None:
    """Closed: without it nothing runs. What ran was held for, once, and is charged once."""
    kind = proxied.kind
    async with proxied.caller() as caller:
        account = await caller.account("traffic", 10**9)
        codes = Counter[int]()
        stopping = False
        captured: set[str] = set()
        changed = asyncio.Event()

        async def sender() -> None:
            while not stopping:
                reply = await caller.ask(account)
                codes[reply.status_code] += 1
                changed.set()
                if reply.status_code != 200:
                    await asyncio.sleep(0.02)
                elif kind.holds:
                    captured.add(reply.json()["seen"]["x-drawdown-hold-id"])

        async def allowed(count: int) -> None:
            while codes[200] < count:
                changed.clear()
                await changed.wait()

        before = len(proxied.upstream.asked)
        async with asyncio.timeout(KILLS * HANGS_S), asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(sender())
            for kill in range(KILLS):
                await allowed((kill + 1) * BETWEEN_KILLS)
                proxied.server.kill()
                runs = len(proxied.upstream.asked)
                reply = await caller.ask(account)
                assert reply.status_code in kind.away
                assert len(proxied.upstream.asked) <= runs + SENDERS  # those that were let in
                proxied.server.start()
                await proxied.server.ready()
            await allowed((KILLS + 1) * BETWEEN_KILLS)
            stopping = True
        assert set(codes) <= {200, *kind.away}
        assert len(proxied.upstream.asked) - before == codes[200]
        if not kind.holds:
            return
        assert len(captured) == codes[200]  # each has a hold of its own
        for hold in captured:
            for _ in range(2):  # told twice
                await caller.ledger.capture(hold, {"output_tokens": 1}, request_id=f"c-{hold}")
        left = await caller.holds(account)
        assert await caller.available(account) == 10**9 - 10 * codes[200] - ESTIMATE * len(left)


async def test_a_server_that_does_not_answer_lets_nothing_through(caller: Behind) -> None:
    """Stopped, it takes connections and says nothing. Traefik waits until it does: `forwardAuth`
    has no time-out of its own."""
    account = await caller.account("timed", GRANTED)
    proxied = caller.proxied
    if proxied.kind.name == "traefik":
        return
    runs = len(proxied.upstream.asked)
    with proxied.configured(proxied.configuration(hasty=True)):
        proxied.server.signal(signal.SIGSTOP)
        try:
            reply = await caller.ask(account)
        finally:
            proxied.server.signal(signal.SIGCONT)
            await proxied.server.ready()
    assert reply.status_code in proxied.kind.away
    assert len(proxied.upstream.asked) == runs
    if proxied.kind.name == "nginx":
        assert reply.headers["retry-after"] == "1"
        assert reply.json()["error"]["code"] == "LEDGER_AWAY"


async def test_a_price_may_depend_on_the_method_and_the_uri_of_the_request(
    caller: Behind,
) -> None:
    """Named as the product, they come back in the denial of what has no price."""
    account = await caller.account("asked", GRANTED)
    proxied = caller.proxied
    text = proxied.configuration()
    assert "product=chat" in text
    for source, value in (
        ("header:x-forwarded-method", "DELETE"),
        ("header:x-forwarded-uri", "/v1/work?fast=1"),
    ):
        with proxied.configured(text.replace("product=chat", f"product={source}")):
            reply = await caller.client.delete(
                "/v1/work?fast=1",
                headers={
                    **proxied.kind.credentials(account),
                    "x-forwarded-method": "GET",
                    "x-forwarded-uri": "/",
                },
            )
        assert not reply.is_success
        assert value in reply.json()["error"]["message"]


async def test_nginx_may_be_told_to_go_on_without_an_answer(caller: Behind) -> None:
    """As docs/gateway.md shows it. The others have no such setting."""
    account = await caller.account("open", 0)
    proxied = caller.proxied
    if proxied.kind.name != "nginx":
        return
    blocks = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [shown] = [block for block in blocks if "run_all_the_same" in block]
    inside, beside = shown.split("\n\n")
    text = proxied.configuration()
    at = "location = /_may_it_run {\n"
    assert text.count(at) == 1
    with proxied.configured(text.replace(at, f"{beside}\n{at}{inside}\n")):
        assert (await caller.ask(account)).status_code == 402
        assert (await caller.ask("")).status_code == 401
        proxied.server.kill()
        try:
            reply = await caller.ask(account)
        finally:
            proxied.server.start()
            await proxied.server.ready()
        assert reply.status_code == 200
        assert "x-drawdown-hold-id" not in reply.json()["seen"]
        async with asyncio.timeout(HANGS_S):  # until the side port answers in the proxy's time
            while (await caller.ask(account)).status_code != 402:
                await asyncio.sleep(0.1)


async def test_a_clients_own_token_says_whose_request_it_is(caller: Behind, tmp_path: Path) -> None:
    """The proxy passes it on, and the ledger verifies it: docs/gateway.md shows what to change."""
    account = await caller.account("bearer", GRANTED)
    proxied, signing = caller.proxied, new_key()
    keys = tmp_path / "jwks.json"
    await asyncio.to_thread(keys.write_bytes, jwks(signing))
    text = proxied.configuration().replace("account=header:x-account", "account=principal")
    text = text.replace("[whose, proof,", "[proof,")

    async def ask(secret: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {secret}", "x-account": "victim"}
        return await caller.client.post("/v1/chat", headers=bearer, json={})

    def issued(key: Any = signing, **changes: Any) -> str:
        said = {"scope": "decide", "accounts": [account], "header": {"kid": kid_of(signing)}}
        return token(key, **said | changes)

    proxied.server.kill()
    proxied.server.start_with(auth_jwks=keys, auth_issuer=ISSUER, auth_audience=AUDIENCE)
    try:
        with proxied.configured(text):
            reply = await ask(issued())
            assert reply.status_code == 200
            assert reply.json()["seen"]["x-drawdown-account"] == account
            runs = len(proxied.upstream.asked)
            for bad in (
                issued(new_key()),  # forged
                issued(exp=int(time.time()) - 600),
                issued(aud="somebody else"),
                issued(iss="https://other.example"),
                issued(accounts=None),
                "none",
            ):
                assert (await ask(bad)).status_code == 401
            assert len(proxied.upstream.asked) == runs
    finally:
        proxied.server.kill()
        proxied.server.start()
        await proxied.server.ready()


def test_the_page_shows_what_the_files_say() -> None:
    page = PAGE.read_text()
    for kind in KINDS:
        file = ROOT / "deploy" / kind.file
        assert f"(../deploy/{kind.file})" in page
        stripped = [line.strip() for line in file.read_text().splitlines()]
        shown = page.rsplit(f"(../deploy/{kind.file})")[-1].split("```")[1].splitlines()[1:]
        wanted = [line.strip() for line in shown if line.strip()]
        assert len(wanted) >= 4
        assert not [line for line in wanted if line not in stripped]
