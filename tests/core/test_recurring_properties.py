"""Whatever is asked of recurring grants, in whatever order: what is issued is the model's sum, no
period twice, and a replay or a restart changes nothing (rules T1, T3, S1)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from core_world import CREDITS, FAMILY, START_US, TENANT, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from recurring_model import FOREVER, Model, Terms
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family

ACCOUNT = 1
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
amounts = st.one_of(st.integers(1, 20), st.integers(1, 2**62))
terms = st.builds(
    Terms,
    amounts,
    st.sampled_from(e.PeriodUnit),
    st.integers(1, 3),
    st.integers(START_US - 400 * DAY_US, START_US + 400 * DAY_US),
    st.sampled_from(ZONES),
    st.sampled_from(e.Proration),
)
durations = st.one_of(
    st.integers(1, 3 * HOUR_US), st.integers(1, 10 * DAY_US), st.integers(DAY_US, 200 * DAY_US)
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), durations),
        st.tuples(st.just("wait"), durations),
        st.tuples(st.just("change"), terms, st.booleans()),
        st.tuples(st.just("pause")),
        st.tuples(st.just("resume")),
        st.tuples(st.just("end"), st.booleans()),
        st.tuples(st.just("sweep"), st.integers(1, 20)),
        st.tuples(st.just("page")),
    ),
    max_size=20,
)
starts = st.tuples(terms, st.integers(-34 * DAY_US, 60 * DAY_US), st.one_of(st.none(), durations))


def of_core(made: Terms) -> e.RecurringTerms:
    return e.RecurringTerms(
        e.GrantKind.PROMOTIONAL,
        CREDITS,
        made.amount,
        0,
        0,
        0,
        (),
        made.unit,
        made.every,
        made.anchor,
        made.zone,
        made.proration,
        0,
    )


class Run:
    """The core and the model, asked the same."""

    def __init__(self, begun: tuple[Terms, int, int | None]) -> None:
        self.core = Core()
        self.core.now = START_US
        self.keys = 0
        key = self.key()
        self.core.run(
            c.CreateAccount(key, TENANT, ACCOUNT, 0, ACCOUNT, e.AccountPolicy(zone="UTC"))
        )
        made, ahead, lasts = begun
        starts_at = self.core.now + ahead
        ends_at = max(starts_at, self.core.now) + lasts if lasts else 0
        started = self.core.run(
            c.StartRecurring(self.key(), ACCOUNT, of_core(made), b"", starts_at, ends_at)
        )
        assert isinstance(started, e.RecurringStarted), started
        self.model = Model(made, starts_at, ends_at or FOREVER)
        self.model.wait(self.core.now)

    def key(self) -> bytes:
        self.keys += 1
        return FAMILY.request(str(self.keys))

    def ask(self, command: c.Command, refused: str) -> bool:
        """Whether it was done; refused where the model says so, for that reason."""
        outcome = self.core.run(command)
        if refused:
            assert isinstance(outcome, Refusal) and outcome.reason == refused, outcome
            return False
        assert not isinstance(outcome, Refusal), outcome
        return True

    def step(self, verb: str, *given_: Any) -> None:
        core, model = self.core, self.model
        now = core.now
        over = "RECURRING_ENDED" if model.ended(now) else ""
        if verb == "wait":
            core.advance(given_[0])
            model.wait(core.now)
        elif verb == "sweep":
            core.sweep(given_[0])
        elif verb == "page":
            state = core.state
            body = pack_family(state, ACCOUNT, state.settled_before)
            drop_family(state, ACCOUNT)
            unpack_family(state, body)
        elif verb == "change":
            made, at_once = given_
            timing = e.Timing.NOW if at_once else e.Timing.NEXT_PERIOD
            command = c.ChangeRecurring(self.key(), ACCOUNT, 1, of_core(made), timing)
            if self.ask(command, over):
                model.change(now, made, at_once)
        elif verb == "pause":
            refused = over or ("RECURRING_PAUSED" if model.paused else "")
            if self.ask(c.PauseRecurring(self.key(), ACCOUNT, 1), refused):
                model.paused = True
        elif verb == "resume":
            refused = over or ("" if model.paused else "RECURRING_NOT_PAUSED")
            if self.ask(c.ResumeRecurring(self.key(), ACCOUNT, 1), refused):
                model.resume(now)
                model.wait(now)
        else:
            timing = e.Timing.NOW if given_[0] else e.Timing.NEXT_PERIOD
            if self.ask(c.EndRecurring(self.key(), ACCOUNT, 1, timing), over):
                model.end(now, given_[0])


@given(starts, steps)
def test_what_is_issued_is_the_models_sum(
    begun: tuple[Terms, int, int | None], taken: list[tuple[Any, ...]]
) -> None:
    run = Run(begun)
    for verb, *given_ in taken:
        run.step(verb, *given_)
    run.core.begin_batch()
    run.core.sweep(100_000)
    run.model.wait(run.core.now)
    events = [event for _, batch in run.core.batches for event in batch]
    issued = [event for event in events if isinstance(event, e.RecurringIssued)]
    found = [(event.start, event.end, event.amount) for event in issued]
    assert found == run.model.issued
    # No period is issued twice, and none overlaps another.
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))
    granted = sum(event.amount for event in events if isinstance(event, e.GrantIssued))
    reduced = sum(event.amount for event in events if isinstance(event, e.GrantReduced))
    assert granted - reduced == run.model.given
    # Each is as of its own time, and expires by the rules of any grant, once.
    expired = [event.grant for event in events if isinstance(event, e.GrantExpired)]
    assert len(expired) == len(set(expired))
    state = run.core.state
    for grant in state.accounts[ACCOUNT].grants:
        assert (grant.settled != 0) == (grant.expires_at + DAY_US <= run.core.now)
    state.books.check()
    assert digest(replay(run.core.journal())) == digest(state)
    assert judged(run.core) == []


@given(starts, durations, st.lists(durations, max_size=8))
def test_a_standstill_changes_nothing_but_when_it_is_recorded(
    begun: tuple[Terms, int, int | None], last: int, naps: list[int]
) -> None:
    """Awake all the time, or asleep until the end: the same grants, with the same ends."""
    awake, asleep = Run(begun), Run(begun)
    for nap in naps:
        awake.core.advance(nap)
        awake.core.sweep(100_000)
    awake.core.advance(last)
    asleep.core.advance(sum(naps) + last)
    asleep.core.now = awake.core.now
    for run in (awake, asleep):
        run.core.sweep(100_000)
    told = [
        [
            (grant.effective_at, grant.expires_at, grant.amount, grant.unused, grant.settled)
            for grant in run.core.state.accounts[ACCOUNT].grants
        ]
        for run in (awake, asleep)
    ]
    assert told[0] == told[1]


def test_the_model_is_asked_for_more_than_whole_periods() -> None:
    """A model that never prorates would be found out."""
    terms = Terms(3_100, e.PeriodUnit.MONTH, 1, START_US, "UTC", e.Proration.FIRST)
    run = Run((terms, 10 * DAY_US, None))
    run.step("wait", 10 * DAY_US)
    assert [amount for _, _, amount in run.model.issued] == [2_100]
    assert replace(terms, proration=e.Proration.NONE) != terms
