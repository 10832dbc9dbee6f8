"""What a stream takes and says at once is what whoever may wait takes and says."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.api.calls import Call, Detached
from ledger.api.deciding import DEBIT
from ledger.api.edge import Edge
from ledger.api.usual_debits import ask_at_once
from ledger.core.limits import ID_BYTES_MAX
from ledger.v1 import decision_pb2 as pb
from tests.api.served import Served, SystemClock, work
from tests.api.test_decide_stream import COST, Stream, debit


def request(**changes: Any) -> pb.DebitRequest:
    return pb.DebitRequest(**{**work("acme"), "request_id": "d", **changes})


async def both(served: Served, asked: pb.DebitRequest) -> tuple[Any, Any]:
    """What is taken at once of a request that was taken before, and what is otherwise."""
    edge, call = Edge(served.ledger), Call(Detached(()), SystemClock(), None)
    slowly = await DEBIT.ask(edge, asked, call)
    return ask_at_once(edge, asked, call), slowly


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"request_id": "d" * ID_BYTES_MAX},
        {"attributes": {"region": "eu"}},
        {"attributes": {"z": "", "a": "é"}},
        {"quantities": {"output_tokens": 2**63 - 1}},
    ],
)
async def test_a_usual_debit_is_the_same_command(priced: Served, changes: dict[str, Any]):
    await priced.account("acme")
    at_once, slowly = await both(priced, request(**changes))
    assert at_once == slowly
    assert at_once.command.shape is slowly.command.shape


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "run"},
        {"operation": "run", "operation_parent": "day"},
        {"request_id": "é"},
        {"up_to": pb.UpTo(quantity="output_tokens", minimum=2)},
        {"alternatives": [pb.Alternative(product="video")]},
    ],
)
async def test_what_is_more_than_usual_waits_for_its_turn(priced: Served, changes: dict[str, Any]):
    await priced.account("acme")
    at_once, slowly = await both(priced, request(**changes))
    assert at_once is None
    assert slowly.entry.account_id == "acme"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request_id": ""}, "FIELD_REQUIRED"),
        ({"request_id": "a\0"}, "TEXT_INVALID"),
        ({"request_id": "d" * (ID_BYTES_MAX + 1)}, "TEXT_TOO_LONG"),
        ({"account": ""}, "FIELD_REQUIRED"),
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN"),
        ({"tenant": "nobody"}, "TENANT_UNKNOWN"),
        ({"product": ""}, "FIELD_REQUIRED"),
        ({"quantities": {}}, "FIELD_REQUIRED"),
        ({"quantities": {"input_tokens": -1}}, "QUANTITY_INVALID"),
        ({"quantities": {"input_tokens": 0, "output_tokens": 0}}, "QUANTITIES_ALL_ZERO"),
        ({"operation_parent": "day"}, "FIELD_REQUIRED"),
    ],
)
async def test_what_is_wrong_with_a_debit_is_said_after_one_that_was_right(
    priced: Served, changes: dict[str, Any], reason: str
):
    """The right one has brought all names into memory."""
    await priced.account("acme")
    await priced.grant("acme", 10 * COST)
    stream = Stream(priced)
    wrong = pb.DecideItem(number=2, debit=request(**changes))
    await stream.send(debit(1, "acme"), wrong)
    found = await stream.until(2)
    assert found[1].debit.decision == pb.DECISION_ALLOW
    assert found[2].error.reason == reason
    await stream.end()


@pytest.mark.parametrize(
    "changes",
    [{}, {"attributes": {"region": "eu"}}, {"operation": "run"}, {"product": "unpriced"}],
)
async def test_a_debit_is_answered_as_its_replay_is(priced: Served, changes: dict[str, Any]):
    """Paid by one grant, by two, and not at all; the replay is said plainly."""
    await priced.account("acme")
    await priced.grant("acme", COST + 100)
    await priced.grant("acme", 2 * COST - 100)
    stream = Stream(priced)
    await stream.send(*[debit(number, "acme", **changes) for number in range(4)])
    found = await stream.until(4)
    for number, reply in found.items():
        again = await priced.debit("acme", request_id=f"d{number}", **changes)
        assert again.replayed
        again.replayed = False
        assert again == reply.debit
    assert len({each.debit.position for each in found.values()}) == 4
    await stream.end()
