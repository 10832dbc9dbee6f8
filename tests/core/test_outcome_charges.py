"""Outcomes: work is reserved for as it is reported, and charged once its result is confirmed, or
given back; one way out, once (rules B1, H1, H2, D3 to D6, R1, T4)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import FAMILY, TENANT, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from model_world import model_case
from msgspec.structs import replace as changed
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US, OUTCOMES_PENDING_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packing import pack_family, unpack_family
from ledger.core.packing.family import drop_family
from ledger.core.state import NEVER, State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules


@ledger_case
def test_nothing_is_charged_before_the_result_is_confirmed(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100 paid=50
    report   acme 30 as=o         -> pending 30 from acme
    expect   held acme 30
    expect   available acme 70 of=case
    expect   recognised acme 0
    accept   o                    -> drawn 30 from acme
    expect   held acme 0
    expect   left acme 70
    expect   used case 30
    expect   recognised acme 15
    expect   revenue case 15
    """


@ledger_case
def test_what_is_rejected_gives_all_back(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    report   acme 30 as=o
    reject   o for=unsolved       -> rejected
    expect   held acme 0
    expect   left acme 100
    expect   used case 0
    """


@ledger_case
def test_one_way_out_retried_or_not(case: LedgerCase) -> None:
    """
    # Rules H1, I5: the same request is answered as before, another names what became of it.
    account  acme
    grant    acme 100
    report   acme 5 as=o id=r     -> pending 5 from acme
    report   acme 5 as=o id=r     -> replayed: pending 5 from acme
    report   acme 6 as=p id=r     -> refused CONFLICT quantities
    report   acme 5 as=p id=r at=-1h  -> refused CONFLICT effective_at_us
    report   acme 5 as=p id=r says=x  -> refused CONFLICT evidence
    accept   o id=y says=solved   -> drawn 5 from acme
    accept   o id=y says=solved   -> replayed: drawn 5 from acme
    accept   o id=y says=other    -> refused CONFLICT evidence
    accept   o                    -> refused OUTCOME_CONFIRMED outcome_id
    reject   o                    -> refused OUTCOME_CONFIRMED outcome_id
    report   acme 5 as=p
    accept   p id=y says=solved   -> refused CONFLICT outcome_id
    reject   p id=n for=wrong     -> rejected
    reject   p id=n for=wrong     -> replayed: rejected
    reject   p id=n for=late      -> refused CONFLICT reason
    reject   o id=n for=wrong     -> refused CONFLICT outcome_id
    reject   p                    -> refused OUTCOME_REJECTED outcome_id
    accept   p                    -> refused OUTCOME_REJECTED outcome_id
    expect   used case 5
    """


@ledger_case
def test_time_confirms_or_cancels_as_the_product_says_once(case: LedgerCase) -> None:
    """
    # Rule H2: an entry of its own, by the writer's clock; what nobody settles for ever pends.
    account  acme
    grant    acme 100
    report   acme 10 as=o         -> pending 10 from acme
    report   acme 20 as=l of=lead -> pending 20 from acme
    report   acme 30 as=d of=deal -> pending 30 from acme
    clock    +47h
    sweep                         -> nothing
    clock    +1h
    sweep                         -> confirmed by time, drawn 10 from acme; rejected by time
    sweep                         -> nothing
    accept   l                    -> refused OUTCOME_REJECTED outcome_id
    reject   o                    -> refused OUTCOME_CONFIRMED outcome_id
    clock    +300d
    sweep                         -> nothing
    expect   held acme 30
    accept   d                    -> drawn 30 from acme; adjustment
    expect   left acme 60
    """


@ledger_case
def test_what_is_due_is_settled_before_anything_else_is_decided(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    report   acme 10 as=o of=lead
    clock    +2d
    accept   o                    -> refused OUTCOME_REJECTED outcome_id
    """


@ledger_case
def test_work_of_another_time_is_priced_and_drawn_as_of_then(case: LedgerCase) -> None:
    """
    # Rule D5: by the rate then in force, from grants effective then. A price that comes between the
    # report and its confirmation changes nothing.
    account  acme
    grant    acme 100 as=old expires=+1d
    clock    +20h
    report   acme 10 as=o at=-2h  -> pending 10 from old
    reprice  case 7
    report   acme 10 as=p at=-2h  -> pending 10 from old
    accept   o                    -> drawn 10 from old
    accept   p                    -> drawn 10 from old
    """


@ledger_case
def test_a_report_is_never_refused_for_want_of_credits(case: LedgerCase) -> None:
    """
    # Rule D4: it reserves by the order of recorded usage, to the last unit, by the excess policy.
    account  acme  overdraft=5 overage=self cap=7
    grant    acme 10
    report   acme 30 as=o
    -> pending 10 from acme, overdraft 5, overage 7 on acme, owed 8
    accept   o
    -> drawn 10 from acme, overdraft 5, overage 7 on acme, owed 8; 8 over the limit
    expect   owed acme 13
    expect   overage acme 7
    account  rich  excess=bill
    report   rich 3 as=b   -> billed 3 on rich
    reject   b             -> rejected
    expect   overage rich 0
    account  kind  excess=absorb
    report   kind 3 as=k   -> absorbed 3
    accept   k             -> absorbed 3; 3 over the limit
    expect   owed kind 0
    """


@ledger_case
def test_what_pends_is_nobody_elses(case: LedgerCase) -> None:
    """
    # Rule B6: pending units are not available, to usage, holds or other outcomes.
    account  acme
    grant    acme 10
    report   acme 8 as=o   -> pending 8 from acme
    hold     acme 3 as=h   -> denied INSUFFICIENT_CREDITS
    usage    acme 3        -> drawn 2 from acme, owed 1; 1 over the limit
    reject   o
    expect   left acme 8
    """


@ledger_case
def test_what_a_rejection_gives_back_to_an_expired_grant_expires(case: LedgerCase) -> None:
    """
    # Rule D6: expiry takes what does not pend, the rest follows in its own entry.
    account  acme
    grant    acme 100 expires=+1d
    report   acme 40 as=o of=deal
    clock    +2d
    sweep                  -> acme expired 60
    reject   o             -> rejected; acme expired 40
    expect   left acme 0
    """


@ledger_case
def test_a_confirmation_after_expiry_draws_what_was_reserved(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100 expires=+1d
    report   acme 40 as=o of=deal
    clock    +3d
    sweep
    accept   o             -> drawn 40 from acme
    """


@ledger_case
def test_the_charge_goes_on_from_the_totals_of_its_confirmation(case: LedgerCase) -> None:
    """
    # Rule R1: 3 and 3 sixths are a unit together. Each alone reserves half to even, 0; what is
    # confirmed last pays for both. What was reserved and is not charged goes back.
    account  acme
    grant    acme 10
    report   acme 3 as=a of=sixth  -> free
    report   acme 5 as=b of=sixth  -> pending 1 from acme
    accept   b                     -> drawn 1 from acme
    accept   a                     -> free
    report   acme 4 as=d of=sixth  -> pending 1 from acme
    expect   used sixth 1
    accept   d                     -> drawn 1 from acme
    expect   used sixth 2
    expect   held acme 0
    """


@ledger_case
def test_after_its_confirmation_it_is_usage_that_is_corrected(case: LedgerCase) -> None:
    """
    # Rule D3.
    account  acme
    grant    acme 100 paid=100
    report   acme 30 as=o
    accept   o
    reverse  o 10          -> 10 to acme worth 10
    reverse  o             -> 20 to acme worth 20
    reverse  o             -> refused CORRECTION_TOO_LARGE quantities
    expect   left acme 100
    expect   revenue case 0
    report   acme 30 as=p
    accept   p
    amend    p 20 as=q of=case  -> 30 to acme worth 30; drawn 20 from acme
    expect   left acme 80
    """


@ledger_case
def test_what_has_no_price_waits_once_it_is_confirmed(case: LedgerCase) -> None:
    """
    # Rule B8: the other quantities pend and are charged; the rest is rated when its price comes.
    account  acme
    grant    acme 100
    report   acme as=o output=2 cached=1 input=1  -> pending 6 from acme, suspense
    accept   o                            -> drawn 6 from acme, suspense
    expect   suspended acme 1
    publish  case.input=1 case.cached=1 from=2025-12-01
    sweep                                 -> rated, drawn 1 from acme
    expect   suspended acme 0
    """


@ledger_case
def test_only_what_is_sold_by_result_is_reported_and_it_alone(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    report   acme 1 as=o of=chat     -> refused NOT_AN_OUTCOME product
    report   acme 1 as=o of=unknown  -> refused NOT_AN_OUTCOME product
    usage    acme 1 of=case          -> refused OUTCOME_EXPECTED product
    hold     acme 1 as=h of=case     -> refused OUTCOME_EXPECTED product
    quote    acme 1 as=q of=case     -> refused OUTCOME_EXPECTED product
    report   acme 0 as=o             -> refused QUANTITIES_ALL_ZERO quantities
    report   acme 1 as=o at=+6m      -> refused IN_FUTURE effective_at_us
    report   acme 1 as=o at=-36d     -> refused TOO_OLD effective_at_us
    report   none 1 as=o             -> refused ACCOUNT_UNKNOWN account
    """


@ledger_case
def test_an_outcome_is_no_hold(case: LedgerCase) -> None:
    """
    account  acme  holds=1
    grant    acme 100
    report   acme 1 as=o
    report   acme 1 as=p
    capture  o 1     -> refused HOLD_UNKNOWN hold_id
    release  o       -> refused HOLD_UNKNOWN hold_id
    extend   o       -> refused HOLD_UNKNOWN hold_id
    hold     acme 1 as=h
    accept   h       -> refused NO_SUCH_OUTCOME outcome_id
    release  h
    accept   h       -> refused NO_SUCH_OUTCOME outcome_id
    accept   o
    reject   p
    capture  o 1     -> refused HOLD_UNKNOWN hold_id
    capture  p 1     -> refused HOLD_UNKNOWN hold_id
    release  p       -> refused HOLD_UNKNOWN hold_id
    """


@ledger_case
def test_a_frozen_account_settles_what_pends_and_reports_nothing(case: LedgerCase) -> None:
    """
    # Rule I2: that work was done before.
    account  acme
    grant    acme 100
    report   acme 1 as=o
    freeze   acme
    report   acme 1 as=p   -> refused ACCOUNT_FROZEN account
    accept   o             -> drawn 1 from acme
    """


@ledger_case
def test_an_account_closes_without_outcomes_or_rejects_them(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    report   acme 1 as=o of=deal
    close    acme write-off   -> refused ACCOUNT_NOT_EMPTY account
    close    acme write-off release
    accept   o                -> refused OUTCOME_REJECTED outcome_id
    report   acme 1 as=p      -> refused ACCOUNT_CLOSED account
    """


@ledger_case
def test_shared_grants_lend_to_outcomes(case: LedgerCase) -> None:
    """
    account  acme
    account  team  parent=acme
    grant    acme 10 shared
    report   team 4 as=o   -> pending 4 from acme
    expect   held acme 4
    clock    +2d
    usage    acme 10
    -> confirmed by time, drawn 4 from acme; drawn 6 from acme, owed 4; 4 over the limit
    """


@ledger_case
def test_work_of_a_closed_month_counts_in_the_open_one(case: LedgerCase) -> None:
    """
    # Rule T2: reported in its month, confirmed when that is closed.
    account  acme  overage=self
    clock    2026-01-20
    report   acme 3 as=o of=deal   -> overage 3 on acme
    clock    2026-02-10
    accept   o                     -> overage 3 on acme; adjustment
    """


@ledger_case
def test_what_the_provider_takes_is_booked_as_it_is_confirmed(case: LedgerCase) -> None:
    """
    # Rule B4.
    account  acme  card=resold
    grant    acme 100
    report   acme 2 as=o of=case
    expect   left acme 100
    accept   o             -> drawn 2 from acme, cost 0, cost unknown
    """


@model_case
def test_tiers_are_those_of_the_confirmation(case: LedgerCase) -> None:
    """
    # Rule R1: 3 to 100, 2 to 1,000. Each alone would be in the first tier, and reserves so; what is
    # confirmed second is in the next one, and the rest goes back.
    account  acme  card=models
    grant    acme 1000
    report   acme 100 as=a of=tiers  -> pending 300 from acme
    report   acme 100 as=b of=tiers  -> pending 300 from acme
    accept   b                       -> drawn 300 from acme
    accept   a                       -> drawn 200 from acme
    expect   left acme 500
    expect   held acme 0
    reverse  a                       -> 200 to acme
    """


@model_case
def test_volume_prices_are_rated_again_by_a_confirmation(case: LedgerCase) -> None:
    """
    # 10 to 100, then 5 for all: the second costs 5 each, and the first is given 5 each back.
    account  acme  card=models
    grant    acme 2000
    report   acme 100 as=a of=bulk  -> pending 1000 from acme
    accept   a                      -> drawn 1000 from acme
    report   acme 20 as=b of=bulk   -> pending 100 from acme
    accept   b                      -> drawn 100 from acme; re-rated 500 to acme
    expect   left acme 1400
    """


def test_work_of_more_than_400_days_ago_is_rejected_only() -> None:
    """What nobody settles pends, but is not charged for ever."""
    case = LedgerCase()
    case.run("account acme\ngrant acme 10\nreport acme 1 as=o of=deal")
    for _ in range(9):
        case.run("clock +45d\nsweep")
    case.run("accept o -> refused CORRECTION_TOO_OLD outcome_id\nreject o -> rejected")
    case.finish()
    assert judged(case.core) == []


def test_pending_outcomes_of_an_account_are_limited() -> None:
    """Each is kept in memory: what is more is refused by name, and changes nothing."""
    case = LedgerCase()
    case.run("account acme\ngrant acme 10\nreport acme 1 as=o")
    account = case.account("acme")
    account.outcomes = OUTCOMES_PENDING_MAX
    case.run("report acme 1 as=p -> refused OUTCOMES_LIMIT account")


def test_clocks_of_sandboxes_settle_outcomes() -> None:
    """Rule T4: a tenant's clock is moved forward, and what was due by it has happened."""
    case = LedgerCase()
    case.run("account acme\ngrant acme 100\nreport acme 10 as=o\nreport acme 5 as=l of=lead")
    case.core.run(c.ApplyConfiguration(TENANT, 1, b"\x02" * 32, 3 * DAY_US))
    case.run(
        """
        sweep       -> confirmed by time, drawn 10 from acme; rejected by time
        expect      left acme 90
        report      acme 1 as=p
        """
    )
    settled = case.core.state.holds[case.holds["p"][1]]
    assert settled.outcome is not None
    assert settled.outcome.reported_at == case.core.state.now
    case.core.state.books.check()


def test_a_family_that_was_packed_goes_on_with_its_outcomes() -> None:
    """Packing keeps what pends and what was settled, and equal states pack into equal bytes."""
    case = LedgerCase()
    case.run(
        """
        account  acme
        grant    acme 100
        report   acme 10 as=o
        report   acme 5 as=l of=lead
        report   acme 7 as=d of=deal
        accept   o
        """
    )
    state = case.core.state
    before, found = digest(state), pack_family(state, 1, state.settled_before)
    drop_family(state, 1)
    assert unpack_family(state, found) == 1
    assert pack_family(state, 1, state.settled_before) == found
    assert digest(state) == before
    assert case.account("acme").outcomes == 2
    case.run(
        """
        accept   o   -> refused OUTCOME_CONFIRMED outcome_id
        accept   d   -> drawn 7 from acme
        clock    +2d
        sweep        -> rejected by time
        """
    )
    case.finish()


# -- any order of things ---------------------------------------------------------------------------

PRODUCTS = ("case", "lead", "deal", "sixth")
reports = st.tuples(
    st.just("report"), st.integers(1, 40), st.sampled_from(PRODUCTS), st.integers(0, 100)
)
ends = st.tuples(st.sampled_from(("accept", "reject")), st.integers(0, 20))
others = st.one_of(
    st.tuples(st.just("usage"), st.integers(1, 30)),
    st.tuples(st.just("grant"), st.integers(1, 60), st.integers(1, 200)),
    st.tuples(st.just("clock"), st.integers(1, 60)),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("void"), st.integers(0, 5)),
)
POLICIES = ("", "overdraft=9", "overage=self cap=11", "excess=bill", "overage=self excess=absorb")


class Story:
    """Runs what is drawn, and counts by itself what became of each outcome."""

    def __init__(self, policy: str) -> None:
        self.case = LedgerCase()
        self.case.run(f"account acme {policy}")
        self.reported: list[str] = []
        self.grants: list[str] = []
        self.asked: dict[str, list[str]] = {}  # outcome -> what was said yes to

    def step(self, verb: str, *given_: Any) -> None:
        run = self.case.run
        if verb == "report":
            name = f"o{len(self.reported)}"
            hours = given_[2]
            run(f"report acme {given_[0]} as={name} of={given_[1]} at=-{hours}h")
            self.reported.append(name)
        elif verb == "grant":
            name = f"g{len(self.grants)}"
            run(f"grant acme {given_[0]} as={name} expires=+{given_[1]}h paid=7")
            self.grants.append(name)
        elif verb in ("accept", "reject"):
            if self.reported:
                name = self.reported[given_[0] % len(self.reported)]
                _, number = self.case.holds[name]
                kind = c.ConfirmOutcome if verb == "accept" else c.RejectOutcome
                key = FAMILY.request(self.case._next_id())
                outcome, _ = self.case.execute(kind(key, 1, number))
                if not isinstance(outcome, Refusal):
                    self.asked.setdefault(name, []).append(verb)
        elif verb == "void":
            if self.grants:
                number = self.case.grants[self.grants[given_[0] % len(self.grants)]]
                self.case.execute(c.VoidGrant(FAMILY.request(self.case._next_id()), 1, number))
        elif verb == "usage":
            run(f"usage acme {given_[0]}")
        elif verb == "clock":
            run(f"clock +{given_[0]}h")
        else:
            run("sweep")


@given(st.sampled_from(POLICIES), st.lists(st.one_of(reports, ends, others), max_size=40))
def test_every_outcome_ends_once_and_what_pends_is_what_it_reserves(
    policy: str, steps: list[tuple[Any, ...]]
) -> None:
    """Rules B1, H1: whatever happens between, one entry settles each outcome, nothing pends without
    one behind it or below zero, what is charged is the sum of the confirmations, and no rule of
    `verify` is broken."""
    story = Story(policy)
    for verb, *given_ in steps:
        story.step(verb, *given_)
        state = story.case.core.state
        for book in state.books.accounts.values():
            assert min(book.debits_pending, book.credits_pending) >= 0
        pending = sum(book.debits_pending for book in state.books.accounts.values())
        held = sum(hold.left for hold in state.holds.values())
        assert pending == held
        assert story.case.account("acme").outcomes == len(state.holds)
    story.case.run("clock +3d\nsweep")
    ended: dict[int, int] = {}
    charged = used = 0
    for event in _events(story.case.core):
        if isinstance(event, e.OutcomeConfirmed | e.OutcomeRejected):
            ended[event.hold] = ended.get(event.hold, 0) + 1
        if isinstance(event, e.OutcomeConfirmed):
            charged += sum(charge for charge in event.charges if charge > 0)
    left = {number for name in story.reported if (number := story.case.holds[name][1]) not in ended}
    assert set(ended.values()) <= {1}
    assert all(len(said) == 1 for said in story.asked.values())
    state = story.case.core.state
    assert left == set(state.holds)
    assert all(state.holds[number].expires_at == NEVER for number in left)
    for book in state.books.accounts.values():
        if book.kind == e.BookKind.USED and book.name in PRODUCTS:
            used += book.credits_posted
    assert used == charged
    story.case.finish()
    assert judged(story.case.core) == []


def _events(core: Core) -> list[e.Event]:
    return [event for _, events in core.batches for event in events]


# -- what verify asks ------------------------------------------------------------------------------


def of_every_kind() -> LedgerCase:
    case = LedgerCase()
    case.run(
        """
        account  acme
        account  other
        grant    acme 100
        report   acme 10 as=o
        report   acme 10 as=l of=lead
        report   acme 10 as=d of=deal
        accept   o
        reject   d
        clock    +2d
        sweep
        """
    )
    return case


def test_what_was_decided_breaks_no_rule_of_verify() -> None:
    assert judged(of_every_kind().core) == []


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.OutcomeReported, {"hold": 9}, "number of the outcome"),
        (e.OutcomeReported, {"lifetime": 400 * DAY_US}, "wait of the outcome"),
        (e.OutcomeReported, {"lifetime": 1}, "longest wait of the outcome"),
        (e.OutcomeReported, {"expires_at": 1}, "when the outcome is due"),
        (e.OutcomeReported, {"effective_at": 1}, "effective time"),
        (e.OutcomeReported, {"suspense": 1}, "whether a price is missing"),
        (e.OutcomeReported, {"policy_version": 9}, "version of the policy"),
        (e.OutcomeReported, {"charges": (11,)}, "sum of slices"),
        (e.OutcomeConfirmed, {"hold": 2}, "quantities of the outcome"),
        (e.OutcomeConfirmed, {"hold": 9}, "hold 9"),
        (e.OutcomeConfirmed, {"quantities": (11,)}, "quantities of the outcome"),
        (e.OutcomeConfirmed, {"effective_at": 1}, "effective time"),
        (e.OutcomeConfirmed, {"by_time": 1}, "whether the clock settles it"),
        (e.OutcomeConfirmed, {"account": 2}, "account of the hold"),
        (e.OutcomeRejected, {"hold": 9}, "hold 9"),
        (e.OutcomeRejected, {"by_time": 1}, "whether the clock settles it"),
        (e.HoldReleased, {}, "whether 2 is an outcome"),
    ],
    ids=str,
)
def test_an_entry_that_breaks_a_rule_is_named(
    kind: type, changes: dict[str, Any], what: str
) -> None:
    """The first of its kind, changed: `verify` says which rule it breaks."""
    findings = Findings(ShardReport(0))
    rules, state, done = Rules(findings), State(0, Catalog()), False
    for batch_seq, (recorded_at, events) in enumerate(of_every_kind().core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if kind is e.HoldReleased and isinstance(event, e.OutcomeRejected) and not done:
                done = True
                rules.before(state, e.HoldReleased(b"\x01" * 16, 1, 2))
            elif type(event) is kind and not done:
                done = True
                if what == "quantities of the outcome" and "hold" in changes:
                    changes = {**changes, "quantities": (9,)}
                rules.before(state, changed(event, **changes))
            evolve(state, event)
    assert done
    assert any(what in found.what for found in findings.found), findings.found


def test_a_replay_gives_the_same_state() -> None:
    """Byte for byte (ARCHITECTURE, the pure core)."""
    core = of_every_kind().core
    again = replay(core.journal())
    assert digest(again) == digest(core.state)
    assert pack_family(again, 1, again.settled_before) == pack_family(
        core.state, 1, core.state.settled_before
    )


def test_reasons_name_what_became_of_it() -> None:
    """A refusal is stable: the reason, the field, the value."""
    case = of_every_kind()
    refused = case.core.run(c.ConfirmOutcome(FAMILY.request("late"), 1, 2))
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field, refused.value) == (
        Reason.OUTCOME_REJECTED,
        "outcome_id",
        "2",
    )
