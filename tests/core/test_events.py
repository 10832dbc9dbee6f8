"""Events: tags, shape, and who handles each. That they stay what they were: tests/formats."""

from __future__ import annotations

from typing import get_args

import pytest
from core_world import Core

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import _DECIDERS
from ledger.core.evolve import EVOLVERS

EVENTS = get_args(e.Event)
KEY = bytes(range(16))


def test_every_event_has_a_tag_of_its_own() -> None:
    tags = [event.__struct_config__.tag for event in EVENTS]
    assert len(set(tags)) == len(EVENTS)
    assert all(isinstance(tag, int) for tag in tags)


def test_every_event_is_compact_and_frozen() -> None:
    for event in EVENTS:
        config = event.__struct_config__
        assert (config.array_like, config.frozen, config.gc) == (True, True, False), event


def test_every_event_has_an_evolver_and_every_command_a_decision() -> None:
    assert set(EVOLVERS) == set(EVENTS)
    assert set(_DECIDERS) == set(get_args(c.Command))


def test_figures_that_contradict_the_books_stop_the_writer() -> None:
    from ledger.core.books import BooksUnbalanced
    from ledger.core.evolve import evolve

    core = Core()
    for number, kind in enumerate((e.BookKind.PROMOTION, e.BookKind.USED), start=1):
        core.state.books.open(number, 1, kind, 7, 1, "")
    core.state.books.open(3, 1, e.BookKind.USED, 8, 1, "")
    debit = (e.Slice(e.Pot.ABSORBED, 1, 5),)
    for charges, used, slices in (
        ((4,), 2, debit),  # the two sides differ
        ((5,), 3, debit),  # of two assets
        ((0,), 2, (e.Slice(e.Pot.ABSORBED, 1, 0),)),  # nothing
        ((-5,), 2, (e.Slice(e.Pot.ABSORBED, 1, -5),)),
    ):
        event = e.UsageRecorded(KEY, 1, 0, 0, (1,), charges, used, slices, 0)
        with pytest.raises(BooksUnbalanced):
            evolve(core.state, event)
