"""The journal's format: released events stay readable for ever, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from core_world import Core

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import _DECIDERS
from ledger.core.evolve import _EVOLVERS

FIXTURES = Path(__file__).parent / "fixtures"
EVENTS = get_args(e.Event)
KEY, TRACE = bytes(range(16)), bytes(range(16, 32))
POLICY = e.Policy("usd", 1, 2, e.Overage.PARENT, 3, e.Excess.BILL, 4)
SLICES = (e.Slice(e.Pot.GRANT, 1, 2, 3, 4), e.Slice(e.Pot.OVERAGE, 5, 6))

# One of each, no two fields of an event alike. Never edited: a change is a new class and fixture.
EVENTS_V1: tuple[e.Event, ...] = (
    e.WriterOpened(1, 2, b"hash", "writer"),
    e.ConfigurationApplied(1, 2, b"content"),
    e.BookOpened(1, 2, e.BookKind.USED, 3, 4, "chat"),
    e.AccountCreated(KEY, 1, 2, 3, 4, POLICY, b"profile", TRACE),
    e.AccountPolicyUpdated(KEY, 1, POLICY, 2, 3, TRACE),
    e.AccountClosed(KEY, 1, 2, TRACE),
    e.GrantIssued(
        KEY,
        1,
        2,
        3,
        e.GrantKind.PROMOTIONAL,
        4,
        5,
        6,
        7,
        -8,
        9,
        10,
        ("chat", "image"),
        b"external",
        11,
        12,
        1,
        13,
        14,
        15,
        TRACE,
    ),
    e.GrantVoided(KEY, 1, 2, 3, TRACE),
    e.GrantExpired(1, 2, 3, 4),
    e.PlanDeclared(
        "chat", (("mode", "batch"), ("region", "eu")), ("input", "output"), "usd", 1, (2, -1), 3
    ),
    e.UsageRecorded(
        KEY,
        1,
        2,
        3,
        (4, 5),
        (6, -1),
        7,
        SLICES,
        8,
        ((9, 10),),
        11,
        e.Suspense.UNPRICED,
        0,
        12,
        1,
        b"operation",
        b"personal",
        TRACE,
    ),
    e.UsageQuarantined(KEY, 1, 2, 3, (4, 5), "TOO_OLD", b"operation", b"personal", TRACE),
    e.LimitExceeded(1, 2, 3, e.Excess.ABSORB),
    e.HoldAuthorized(KEY, 1, 2, 3, (4, 5), (6, 7), 8, SLICES, 9, 10, 11, 12, TRACE),
    e.AuthorizeDenied(KEY, 1, 2, (3, 4), 5, 2**63 - 1, "INSUFFICIENT_CREDITS", 6, 7, TRACE),
    e.HoldReleased(KEY, 1, 2, TRACE),
    e.HoldExpired(1, 2),
    e.RequestAbandoned(KEY, 1),
)


def test_the_first_format_is_what_it_was() -> None:
    """If this fails, a released event was edited: add a class with a new tag instead."""
    released = (FIXTURES / "events_v1.msgpack").read_bytes()
    assert msgspec.msgpack.encode(EVENTS_V1) == released
    decoded = msgspec.msgpack.decode(released, type=list[e.Event])
    assert msgspec.msgpack.encode(decoded) == released
    assert [type(event) for event in decoded] == [type(event) for event in EVENTS_V1]


def test_the_fixture_holds_one_of_each_event() -> None:
    assert sorted(type(event).__name__ for event in EVENTS_V1) == sorted(
        event.__name__ for event in EVENTS
    )


def test_every_event_has_a_tag_of_its_own() -> None:
    tags = [event.__struct_config__.tag for event in EVENTS]
    assert len(set(tags)) == len(EVENTS)
    assert all(isinstance(tag, int) for tag in tags)


def test_every_event_is_compact_and_frozen() -> None:
    for event in EVENTS:
        config = event.__struct_config__
        assert (config.array_like, config.frozen, config.gc) == (True, True, False), event


def test_every_event_has_an_evolver_and_every_command_a_decision() -> None:
    assert set(_EVOLVERS) == set(EVENTS)
    assert set(_DECIDERS) == set(get_args(c.Command))


def test_figures_that_contradict_the_books_stop_the_writer() -> None:
    from ledger.core.books import BooksUnbalanced
    from ledger.core.evolve import evolve

    core = Core()
    for number, kind in enumerate((e.BookKind.ADVANCE, e.BookKind.USED), start=1):
        core.state.books.open(number, 1, kind, 7, 1, "")
    core.state.books.open(3, 1, e.BookKind.USED, 8, 1, "")
    debit = (e.Slice(e.Pot.OVERDRAFT, 1, 5),)
    for charges, used, slices in (
        ((4,), 2, debit),  # the two sides differ
        ((5,), 3, debit),  # of two assets
        ((0,), 2, (e.Slice(e.Pot.OVERDRAFT, 1, 0),)),  # nothing
        ((-5,), 2, (e.Slice(e.Pot.OVERDRAFT, 1, -5),)),
    ):
        event = e.UsageRecorded(KEY, 1, 0, 0, (1,), charges, used, slices, 0)
        with pytest.raises(BooksUnbalanced):
            evolve(core.state, event)
