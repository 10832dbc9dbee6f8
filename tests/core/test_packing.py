"""A family or a shard as bytes: nothing of it is lost, and no decision comes out differently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from core_world import CREDITS, START_US, TENANT, make_catalog, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase
from test_properties import PARENT, Run, steps

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.digest import digest, snapshot
from ledger.core.keys import KeyMap
from ledger.core.limits import DAY_US, DEDUPE_GENERATION_US
from ledger.core.live_timers import rebuild_timers
from ledger.core.outcomes import Known, Refusal
from ledger.core.packing import (
    FORMAT,
    drop_family,
    forget_settled,
    pack_family,
    pack_shard,
    unpack_family,
    unpack_shard,
    whole,
)
from ledger.core.state import State
from ledger.engine.restore import FORMATS

FIXTURES = Path(__file__).parent / "fixtures"


def packed_shard(state: State) -> bytes:
    return pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at)


class Restless(Run):
    """The same run, whose family leaves memory and comes back between steps."""

    def __init__(self, moves: list[int]) -> None:
        self.moves = moves
        self.outcomes: list[Any] = []
        super().__init__()

    def step(self, verb: str, *given_: Any) -> None:
        move = self.moves.pop() if self.moves else 0
        if move == 1:
            self.page_out()
            self.page_in()
        elif move == 2:
            self.core.begin_batch()
            self.model.now = self.core.now
            self.restart()
        super().step(verb, *given_)

    def clock(self, by_us: int, sweeps: bool) -> None:
        """What falls due in a family that is not here is posted all the same."""
        if not sweeps or not self.moves or self.moves.pop() != 1:
            super().clock(by_us, sweeps)
            return
        self.page_out()
        self.core.advance(by_us)
        self.core.sweep(10_000)
        if self.state.overdue:
            assert self.state.overdue == [PARENT]
            self.state.overdue = []
            self.page_in()
            self.core.sweep(10_000)
        else:
            self.page_in()
            assert all(account.next_due > self.core.now for account in self.state.accounts.values())
        self.model.now = self.core.now
        self.model.settle_due()

    def page_out(self) -> None:
        state = self.state
        self.body = pack_family(state, PARENT, state.settled_before)
        drop_family(state, PARENT)
        assert not state.accounts and not state.grants and not state.holds
        assert digest(whole(state, {PARENT: self.body})) == digest(replay(self.core.journal()))

    def page_in(self) -> None:
        state = self.state
        assert unpack_family(state, self.body) == PARENT
        assert pack_family(state, PARENT, state.settled_before) == self.body
        assert not state.paged and not state.paged_families

    def restart(self) -> None:
        state = self.state
        bodies = {root: pack_family(state, root, state.settled_before) for root in state.families}
        loaded = unpack_shard(packed_shard(state), state.catalog)
        for body in bodies.values():
            unpack_family(loaded, body)
        loaded.keys = state.keys
        rebuild_timers(loaded)
        assert digest(loaded) == digest(state)
        self.core.state = loaded


moves_of = st.lists(st.sampled_from([0, 1, 1, 2]), min_size=60, max_size=60)


@given(steps, moves_of)
def test_a_family_that_comes_and_goes_decides_as_one_that_stays(
    taken: list[tuple[Any, ...]], moves: list[int]
) -> None:
    """The naive waterfall agrees after every step, and the journal replays to the same state."""
    run = Restless(list(moves))
    for verb, *given_ in taken:
        run.step(verb, *given_)
    run.check_against_model()
    assert digest(replay(run.core.journal())) == digest(run.state)


@given(steps, moves_of)
def test_the_entries_are_the_same_bytes(taken: list[tuple[Any, ...]], moves: list[int]) -> None:
    """With restarts and pages between the steps and without: every entry, every digest."""
    moves = [1 if move else 0 for move in moves]  # a restart begins a batch: left out here
    restless, calm = Restless(list(moves)), Run()
    for verb, *given_ in taken:
        restless.step(verb, *given_)
        calm.step(verb, *given_)
    assert restless.core.journal() == calm.core.journal()
    assert digest(restless.state) == digest(calm.state)


LIVED = """
account acme      overdraft=20 overage=self zone=Europe/Berlin
account acme/team parent=acme
account acme/own  parent=acme zone=Asia/Tokyo
policy  acme/own  grace=2d
policy  acme      overdraft=20 overage=self zone=America/New_York
grant   acme      100  paid=7 expires=+30d as=a
grant   acme/team 50   as=b of=chat
usage   acme/team 30
usage   acme      40
hold    acme      10   as=h
hold    acme/team 5    as=i
capture h         7
release i
hold    acme      3    as=j
usage   acme      100
"""


def lived() -> LedgerCase:
    case = LedgerCase()
    case.run(LIVED)
    case.core.begin_batch()
    return case


def test_what_is_wider_than_64_bits_survives() -> None:
    case = lived()
    state = case.core.state
    account = next(iter(state.accounts.values()))
    account.totals[7, START_US] = 2**70
    account.overage_posted[CREDITS, START_US] = 2**80
    account.overage_pending[CREDITS] = 2**65
    before = digest(state)
    body = pack_family(state, account.root, state.settled_before)
    drop_family(state, account.root)
    unpack_family(state, body)
    assert digest(state) == before


def test_a_digest_of_a_part_is_refused() -> None:
    case = lived()
    state = case.core.state
    root = next(iter(state.families))
    drop_family(state, root)
    with pytest.raises(AssertionError, match="packed elsewhere"):
        digest(state)


def test_only_the_accounts_place_and_the_timer_stay() -> None:
    case = lived()
    state = case.core.state
    root = next(iter(state.families))
    accounts = sorted(state.accounts)
    own = {number for number, book in state.books.accounts.items() if book.kind <= 3}
    drop_family(state, root)
    assert state.paged == dict.fromkeys(accounts, root)
    assert list(state.paged_families) == [root]
    assert not own & state.books.accounts.keys()
    assert all(state.books.numbered[number] is None for number in own)
    assert not state.families and not state.grants and not state.holds


def test_bytes_of_format_10_stay_readable() -> None:
    """Written by the code that first made them; a change of the format is a new number, and a
    checkpoint of an older one is not read, but replayed."""
    assert FORMATS == (FORMAT,) == (10,)
    shard = (FIXTURES / "checkpoint_shard_v10.msgpack").read_bytes()
    family = (FIXTURES / "checkpoint_family_v10.msgpack").read_bytes()
    state = unpack_shard(shard, Catalog())
    unpack_family(state, family)
    case = lived()
    assert digest(state) == digest(_without_keys(case.core.state))
    assert packed_shard(state) == shard
    assert pack_family(state, next(iter(state.families)), state.settled_before) == family


def test_bytes_of_format_9_are_not_read() -> None:
    """They lack what came since: they are ignored, and everything is replayed."""
    assert (FORMAT, FORMATS) == (10, (10,))


def _without_keys(state: State) -> State:
    state.keys = KeyMap()
    state.keys.rotate(state.recorded_at)
    return state


def test_keys_of_frozen_runs_are_found_until_they_are_let_go() -> None:
    keys = KeyMap(keys_max=3)
    keys.rotate(DEDUPE_GENERATION_US)
    keys.add(b"a" * 16, 1)
    [(start, run)] = keys.freeze()
    assert (start, run) == (DEDUPE_GENERATION_US, {b"a" * 16: 1})
    keys.add(b"b" * 16, 2)
    assert [keys.find(b"a" * 16), keys.find(b"b" * 16), len(keys)] == [1, 2, 2]
    keys.release(run)
    assert [keys.find(b"a" * 16), keys.find(b"b" * 16), len(keys)] == [None, 2, 1]
    assert keys.newest_max == 3
    keys.release(run)
    assert keys.newest_max == 3, "let go once"
    keys.found = {b"a" * 16: 1}
    assert keys.find(b"a" * 16) == 1, "what was handed in counts"


@given(st.lists(st.tuples(st.integers(1, 9 * DAY_US), st.booleans()), max_size=30))
def test_what_is_remembered_does_not_depend_on_when_runs_are_cut(
    taken: list[tuple[int, bool]],
) -> None:
    cut, whole_ = KeyMap(), KeyMap()
    now = START_US
    for number, (step, freezes) in enumerate(taken):
        now += step
        for keys in (cut, whole_):
            keys.rotate(now)
            keys.add(number.to_bytes(16, "big"), number + 1)
        if freezes:
            cut.freeze()
        assert cut.snapshot() == whole_.snapshot()
        assert len(cut) == len(whole_)


def test_months_that_no_correction_reaches_are_forgotten() -> None:
    """Rules R1, D3, D4: rounding positions and posted overage are kept for as long as usage of
    their month may be corrected, then forgotten by state, digest, packing and replay alike."""
    case = LedgerCase()
    case.run("account acme overage=self")
    account, state = case.account("acme"), case.core.state
    body = b""
    for month in range(40):
        case.run(f"usage acme 4 of=third id=u{month}\nclock +31d\nsweep")
        case.run(f"reverse u{month - 11}" if month >= 12 and month % 4 == 0 else "")
        if month == 2:
            body = pack_family(state, 1, state.settled_before)
        if month % 7 == 6:
            packed, before = pack_family(state, 1, state.settled_before), digest(state)
            drop_family(state, 1)
            unpack_family(state, packed)
            account = case.account("acme")
            assert digest(state) == before
        assert len(account.totals) <= 16 and len(account.overage_posted) <= 16
        assert digest(replay(case.core.journal())) == digest(state)
    assert len(snapshot(replay(case.core.journal()))["accounts"][0][8]) <= 16
    assert len(pack_family(state, 1, state.settled_before)) < 4 * len(body)
    kept = forget_settled(body, state.settled_before)
    assert kept == forget_settled(kept, state.settled_before) and len(kept) < len(body)
    case.finish()


def test_a_key_that_was_handed_in_is_known_to_every_command() -> None:
    case = lived()
    core = case.core
    key = b"k" * 16
    core.state.keys.found = {key: 77}
    number = next(iter(core.state.accounts))
    shape = core.shape("chat", "tokens")
    for command in (
        c.RecordUsage(key, number, shape, (1,), 0, c.NO_NAMES),
        c.AuthorizeHold(key, number, shape, (1,), 0),
        c.ReleaseHold(key, number, 1),
        c.CaptureHold(key, number, 1, ("tokens",), (1,), 0),
        c.CloseAccount(key, number),
        c.UpdatePolicy(key, number, e.AccountPolicy()),
        c.AbandonRequest(key, number),
        c.FreezeAccount(key, number),
        c.MoveAccount(key, number, number),
        c.UnfreezeAccount(key, number),
        c.ReopenAccount(key, number),
        c.UpdateProfile(key, number, b""),
        c.VoidGrant(key, number, 1),
        c.CreateAccount(key, TENANT, 999, 0, 999, e.AccountPolicy()),
    ):
        outcome = core.run(command)
        assert isinstance(outcome, Known) and not isinstance(outcome, Refusal)
        assert outcome.locator == 77


def test_a_restored_shard_prices_with_its_catalog() -> None:
    case = lived()
    state = case.core.state
    catalog = make_catalog()
    assert unpack_shard(packed_shard(state), catalog).catalog is catalog
