"""Seats beside other parts: debts, families, quotes, budgets, the fast loop, sandboxes.

April has 30 days; a plan begins on the 1st unless a test says otherwise.
"""

from __future__ import annotations

from core_world import CREDITS, FAMILY, TENANT, SandboxCore, replay
from msgspec.structs import replace
from seat_world import ACME, APRIL, PRORATED, Team, day, individual, pooled

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.assessing import assess, available_in_all, available_to
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.shapes import Use


def test_an_allowance_of_a_seat_repays_no_debt_of_the_account(team: Team) -> None:
    """Rules B3, D1: only its seat draws it; a pool's repays, as any grant does."""
    team.core.state.accounts[ACME].policy = e.AccountPolicy()
    team.ask(c.UpdatePolicy(team.key(), ACME, e.AccountPolicy(promotional_backfills=True)))
    team.use(30)
    team.start(individual(100), "ann")
    assert team.left("ann") == 100
    team.start(pooled(100), count=1, plan="pool")
    assert team.left(plan="pool") == 70


def test_what_is_a_seats_own_is_not_shared(team: Team) -> None:
    """Rule D1: a pool may be, with all below the account."""
    team.start(individual(100), "ann")
    team.start(pooled(100, shared=True), count=1, plan="pool")
    (own,), (shared,) = team.plan().seats[1].grants, team.plan("pool").grants
    sharing = e.Sharing(e.SharingMode.ALL)
    command = c.UpdateSharing(team.key(), ACME, own, sharing)
    assert team.refused(command) == ("SHARING_INVALID", "grant_id", str(own))
    team.ask(c.CreateAccount(team.key(), TENANT, 2, ACME, ACME, e.AccountPolicy()))
    below = replace(team.usage(130, "ann"), account=2)
    assert team.drew(team.ask(below)) == [("grant", 100), ("advance", 30)]
    assert team.core.state.grants[shared].book.available == 0
    assert team.left("ann") == 100


def test_quotes_and_checks_go_by_seats(team: Team) -> None:
    """Rules D1, H9: what a seat may draw is its own and then the account's."""
    team.grant(50)
    deny = {"exhausted": e.ExhaustedSeat.DENY}
    team.start(individual(100, **deny), "ann")
    state, account = team.core.state, team.account
    for attributes, units in (((("agent", "ann"),), 100), ((("agent", "zed"),), 50), ((), 50)):
        assert available_to(account, CREDITS, Use("chat", attributes), state.now) == units
    assert available_in_all(account, CREDITS, state.now) == 150
    shape = team.core.shape("chat", "tokens", attributes=(("agent", "ann"),))
    found = assess(state, account, shape, (101,), state.now)
    assert not isinstance(found, Refusal) and found.denied == "SEAT_EXHAUSTED"
    team.ask(c.CreateQuote(team.key(), ACME, shape, (90,), 0, 0, True, c.NO_NAMES))
    assert team.left("ann") == 10


def test_a_price_follows_the_units(team: Team) -> None:
    """Rules B4, B5: an allowance's price is its share of the fee; half a month, half the price."""
    priced = {"kind": e.GrantKind.ALLOWANCE, "price_paid": 60, "price_asset": CREDITS + 1}
    team.start(pooled(1_000, **priced), count=2)
    team.to(day(16))
    added = team.add(count=1)
    assert [(each.amount, each.price_paid) for each in added.issues] == [(500, 30)]
    removed = team.remove(count=1, mode=PRORATED)
    assert sum(each.amount for each in removed.taken) == 500
    assert team.core.state.accounts[ACME].unbilled[CREDITS + 1].owed == 120


def test_a_budget_is_for_one_seat(team: Team) -> None:
    """Rule H4: by the attribute that names it."""
    team.start(individual(100), "ann", "bob")
    attributes = (("agent", "ann"),)
    terms = e.BudgetTerms(e.BudgetMeasure.CHARGE, 40, CREDITS, attributes=attributes)
    team.ask(c.SetBudget(team.key(), ACME, "ann", terms))
    assert team.hold(41, "ann").reason == "BUDGET_EXCEEDED"
    assert team.drew(team.hold(41, "bob")) == [("bob", 41)]
    assert team.drew(team.hold(40, "ann")) == [("ann", 40)]


def test_two_plans_of_one_account(team: Team) -> None:
    """Each asks its own attribute; usage that names a seat of both draws both, in the order of the
    plans' names only as far as the first has a say."""
    humans = e.SeatTerms("human", e.Allotment.INDIVIDUAL, individual(10).allowance)
    team.start(individual(100), "ann")
    team.start(humans, "eve", plan="humans")
    shape = team.core.shape("chat", "tokens", attributes=(("human", "eve"),))
    usage = c.RecordUsage(team.key(), ACME, shape, (15,), 0, c.NO_NAMES)
    assert team.drew(team.ask(usage)) == [("eve", 10), ("advance", 5)]
    assert team.use(15, "ann") == [("ann", 15)]


def test_a_pool_stays_on_the_fast_loop_and_seats_of_their_own_leave_it(team: Team) -> None:
    """Usage of a pool that rejects no seat is as any usage; what goes by seats is not."""
    team.start(pooled(1_000), "ann", plan="pool")
    for seat in ("ann", "zed", ""):
        team.use(1, seat)  # what the first event of a shape opens
    commands = [team.usage(7, seat) for seat in ("ann", "zed", "")]
    assert team.core.run_usual(commands) == 3
    team.start(individual(100), "ann")
    assert team.core.run_usual([team.usage(7, "ann")]) == 0
    assert team.use(7, "ann") == [("ann", 7)]
    team.end()
    assert team.core.run_usual([team.usage(7, "ann")]) == 0


def test_a_sandbox_sees_the_periods_of_seats_as_its_clock_moves() -> None:
    """Rule T4: everything that time causes then happens, in order."""
    core = SandboxCore(APRIL)
    core.run(c.CreateAccount(FAMILY.request("a"), TENANT, ACME, 0, ACME, e.AccountPolicy()))
    terms = individual(100, anchor=0)
    core.run(c.StartSeatPlan(FAMILY.request("s"), ACME, "agents", terms, ("ann",), 1))
    core.advance(70 * DAY_US)
    core.begin_batch()
    core.sweep()
    begun = [
        event.start
        for _, batch in core.batches
        for event in batch
        if isinstance(event, e.SeatPeriodBegun)
    ]
    started = core.state.accounts[ACME].seats
    assert started is not None
    first = started.plans["agents"].started_at
    assert begun == [first + 30 * DAY_US, first + 61 * DAY_US]
    assert digest(replay(core.journal())) == digest(core.state)
