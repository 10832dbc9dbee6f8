"""A stock Envoy whose route draws from an operation's hold, by a filter that the operator set.

What runs agents names the hold in a header of its own, which a filter takes off the request and
keeps as metadata; everything else of the configuration is deploy/envoy.yaml.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Iterator

import pytest

from ledger.verify import verify
from tests.gateway.front import Caller, Front, configuration
from tests.patience import HANGS_S

GRANTED = 100_000
ESTIMATE = 500 * 1 + 1_000 * 10
HELD = 3 * ESTIMATE
FILTER = """\
- name: envoy.filters.http.header_to_metadata # of a header that only agents' own side sends
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config
    request_rules:
      - header: x-agent-hold
        on_header_present: { metadata_namespace: agents, key: hold_id, type: STRING }
        remove: true
"""
AUTHORIZATION = "                  - name: envoy.filters.http.ext_authz\n"
NAMESPACES = "metadata_context_namespaces: [envoy.filters.http.jwt_authn]"
ROUTE = "attribute.model: header:x-model\n"


def drawing(ports: dict[str, int]) -> str:
    """deploy/envoy.yaml, whose route for models holds of the hold that the filter says."""
    text = configuration(ports)
    for before, after in (
        (AUTHORIZATION, textwrap.indent(FILTER, 18 * " ") + AUTHORIZATION),
        (NAMESPACES, NAMESPACES.replace("]", ", agents]")),
        (ROUTE, ROUTE + 34 * " " + "operation_hold: metadata:agents:hold_id\n"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


class Agents(Front):
    """An installation with that configuration."""

    def start_envoy(self, configured: str) -> None:
        super().start_envoy(drawing(self.ports))


@pytest.fixture(scope="module")
def agents(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    made = Agents(module_database, tmp_path_factory.mktemp("agents"))
    try:
        made.start()
        asyncio.run(_prices(made))
        yield made
    finally:
        made.stop()
    report = asyncio.run(verify(module_database))
    assert report.ok, report.findings


async def _prices(front: Front) -> None:
    async with front.caller() as caller:
        await caller.prices()


@pytest.fixture
async def caller(agents: Front) -> AsyncIterator[Caller]:
    async with agents.caller() as made:
        yield made


async def test_requests_of_a_run_draw_from_its_hold(caller: Caller) -> None:
    """100 tokens in and 20 out are 300; five requests at once, of which three are held of the run's
    units and two of the account's own."""
    await caller.account("acme", GRANTED)
    async with caller.ledger.operation("acme", "run", hold=HELD) as run:
        asked = [
            caller.ask("acme", x_agent_hold=run.hold_id, x_say_input=100, x_say_output=20)
            for _ in range(5)
        ]
        replies = await asyncio.gather(*asked)
        assert [reply.status_code for reply in replies] == [200] * 5
        seen = replies[0].json()["seen"]
        assert "x-agent-hold" not in seen
        assert seen["x-drawdown-hold-id"] != run.hold_id
        async with asyncio.timeout(HANGS_S):
            while len(await caller.holds("acme")) > 1:
                await asyncio.sleep(0.02)
        [whole] = await caller.holds("acme")
        assert whole.hold_id == run.hold_id
        drawn = whole.drawn["chat"]  # a request that came while others held all is the account's
        assert (whole.left, drawn % 300) == (HELD - drawn, 0)
        assert 3 * 300 <= drawn <= 5 * 300
        usage = {hold.captured for hold in await caller.holds("acme", settled=True)}
        assert usage == {300}
    assert await caller.available("acme") == GRANTED - 5 * 300


async def test_whoever_names_no_hold_draws_of_the_account(caller: Caller) -> None:
    """A client's words for it come in no header that the filter takes."""
    await caller.account("plain", GRANTED)
    async with caller.ledger.operation("plain", "run", hold=HELD) as run:
        forged = {"x_drawdown_hold_id": run.hold_id, "x_operation_hold": run.hold_id}
        reply = await caller.ask("plain", x_say_input=100, x_say_output=20, **forged)
        assert reply.status_code == 200
        async with asyncio.timeout(HANGS_S):
            while len(await caller.holds("plain")) > 1:
                await asyncio.sleep(0.02)
        [whole] = await caller.holds("plain")
        assert (whole.left, dict(whole.drawn)) == (HELD, {})
    assert await caller.available("plain") == GRANTED - 300


async def test_anothers_hold_lets_nothing_run(caller: Caller) -> None:
    await caller.account("owner", GRANTED)
    await caller.account("thief", GRANTED)
    async with caller.ledger.operation("owner", "run", hold=HELD) as run:
        runs = len(caller.front.upstream.asked)
        reply = await caller.ask("thief", x_agent_hold=run.hold_id)
        assert (reply.status_code, reply.headers["x-drawdown-reason"]) == (403, "HOLD_UNKNOWN")
        assert len(caller.front.upstream.asked) == runs
