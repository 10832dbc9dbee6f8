"""The actions of random walks over the core (`walking`): a table of rules by name, of what topic
each is and how likely. An action draws what it asks for; a refusal is as good as any outcome."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from core_machine import STEPS
from core_world import CREDITS, USD
from msgspec.structs import replace
from seat_world import individual, pooled
from walking_world import PACKAGES

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US

if TYPE_CHECKING:
    from walking import Walk

Act: TypeAlias = Callable[["Walk", Random], None]


class Action(NamedTuple):
    """What a step may be."""

    topic: str
    weight: int
    act: Act


ACTIONS: dict[str, Action] = {}
"""Each action by its name."""
TEMPERS: tuple[dict[str, int], ...] = (
    {},
    {"packages": 12},
    {"contracts": 6, "packages": 2, "time": 2},
    {"packages": 3, "work": 3, "credit": 2},
    {"seats": 4, "packages": 2, "time": 2},
    {"sharing": 4, "work": 2, "packages": 2},
    {"packages": 8, "seats": 6, "contracts": 3},
)
"""How much likelier than otherwise the topics are that a walk likes: each walk likes other ones."""
TIMINGS = (e.Timing.NOW, e.Timing.NOW, e.Timing.NOW, e.Timing.NEXT_PERIOD)
OLD_GRANTS = (*e.OldGrants, e.OldGrants.PRORATE)
DESKS = ("eu", "us", "asia")
ENDS_OF_CONTRACTS = ("+3d", "+9d", "+31d")
PRICES = ("", "chat:2", "chat:x1/2")


def action(topic: str, weight: int) -> Callable[[Act], Act]:
    """An action of the table."""

    def say(act: Act) -> Act:
        ACTIONS[act.__name__] = Action(topic, weight, act)
        return act

    return say


# -- the credit model, as `core_machine` draws it --------------------------------------------------


@action("credit", 16)
def any_step_of_the_machine(walk: Walk, drawn: Random) -> None:
    name = drawn.choice(sorted(STEPS))
    arguments = {each: drawn.choice(domain) for each, domain in STEPS[name].items()}
    getattr(walk, name)(**arguments)


@action("time", 3)
def time_passes(walk: Walk, drawn: Random) -> None:
    walk.clock(drawn.choice((*STEPS["clock"]["by"], "33d")))


@action("time", 1)
def families_leave_memory_and_come_back(walk: Walk, drawn: Random) -> None:
    walk.page()


# -- packages and contracts ------------------------------------------------------------------------


@action("packages", 2)
def subscribe(walk: Walk, drawn: Random) -> None:
    follow = drawn.choice((e.Follow.FOLLOW, e.Follow.PIN))
    walk.ask(c.Subscribe(walk.key(), walk.number_of(drawn), drawn.choice(PACKAGES), follow))


@action("packages", 3)
def change_package(walk: Walk, drawn: Random) -> None:
    account, package = walk.number_of(drawn), drawn.choice(PACKAGES)
    timing, old = drawn.choice(TIMINGS), drawn.choice(OLD_GRANTS)
    walk.ask(c.ChangePackage(walk.key(), account, package, timing, old_grants=old))


@action("packages", 1)
def cancel_subscription(walk: Walk, drawn: Random) -> None:
    timing, old = drawn.choice(TIMINGS), drawn.choice(OLD_GRANTS)
    walk.ask(c.CancelSubscription(walk.key(), walk.number_of(drawn), timing, old))


@action("contracts", 2)
def sign_contract(walk: Walk, drawn: Random) -> None:
    words = [f"sign {walk.name_of(drawn)} {walk.fresh()} {drawn.choice(PACKAGES)}"]
    words.append(f"until={drawn.choice(ENDS_OF_CONTRACTS)}")
    words.append(drawn.choice(("", "", "from=+2d", "from=-2d")))
    words.append(drawn.choice(PRICES))
    words.append(drawn.choice(("", "commit=now..+3d:50/90")))
    words.append(drawn.choice(("", "renews")))
    walk.do(" ".join(words))


@action("contracts", 1)
def sign_contract_whose_commitment_rolls(walk: Walk, drawn: Random) -> None:
    now = walk.case.core.state.now
    kind = drawn.choice((e.GrantKind.POSTPAID, e.GrantKind.PREPAID))
    segment = e.Segment(0, now + 9 * DAY_US, drawn.choice((50, 130)), 90)
    committed = e.Committed(e.CommitmentTerms(kind, CREDITS, USD, 5, ()), (segment,))
    walk.ask(
        c.SignContract(
            walk.key(),
            walk.number_of(drawn),
            walk.fresh(),
            drawn.choice(PACKAGES),
            0,
            0,
            now + drawn.choice((9, 9, 20)) * DAY_US,
            auto_renew=1,
            committed=(committed,),
            rollover=e.ContractRollover(1, 2),
        )
    )


@action("contracts", 2)
def end_contract(walk: Walk, drawn: Random) -> None:
    account = walk.number_of(drawn)
    ending = drawn.choice((e.CommitmentEnding.TRUE_UP, e.CommitmentEnding.WAIVE))
    old = drawn.choice(OLD_GRANTS)
    walk.ask(c.EndContract(walk.key(), account, walk.contract(drawn, account), ending, old))


@action("contracts", 1)
def amend_contract(walk: Walk, drawn: Random) -> None:
    name = walk.name_of(drawn)
    contract = walk.contract(drawn, walk.case.accounts[name])
    prices = drawn.choice(("", "chat:3", "half:1"))
    walk.do(f"revise {name} {contract} {prices} {drawn.choice(('', 'until=+5d', 'from=-1d'))}")


# -- seats -----------------------------------------------------------------------------------------


@action("seats", 1)
def start_seat_plan(walk: Walk, drawn: Random) -> None:
    account = walk.number_of(drawn)
    plan = drawn.choice(("own", "pool", "desks"))
    unknown, exhausted = drawn.choice(tuple(e.UnknownSeat)), drawn.choice(tuple(e.ExhaustedSeat))
    terms = pooled(30, anchor=0)
    if plan != "pool":
        terms = individual(30, anchor=0, alert=5, unknown=unknown, exhausted=exhausted)
    terms = replace(terms, attribute="desk")
    charges = walk.case.core.state.accounts[account].charges
    if charges and drawn.random() < 0.5:  # each seat costs its fee, in its periods
        charge = drawn.choice(charges)
        allowance = replace(
            terms.allowance,
            unit=charge.terms.unit,
            every=max(1, charge.terms.every),
            anchor=charge.terms.anchor or charge.starts_at,
        )
        terms = replace(terms, charge=charge.name, allowance=allowance)
    names = drawn.choice(((), ("eu",), ("eu", "us")))
    walk.ask(c.StartSeatPlan(walk.key(), account, plan, terms, names, drawn.choice((0, 1, 2))))


@action("seats", 4)
def change_seats(walk: Walk, drawn: Random) -> None:
    """Of one of the plans that there are, mostly, and of seats that it has as likely as not."""
    key, account = walk.key(), walk.number_of(drawn)
    seats = walk.case.core.state.accounts[account].seats
    plan = drawn.choice(("own", "pool", "desks"))
    seat, to = drawn.choice(("", "eu", "us")), drawn.choice(("", *DESKS))
    if seats is not None and seats.plans and drawn.random() < 0.9:
        plan = drawn.choice(sorted(seats.plans))
        seat = drawn.choice([seat, *sorted(seats.plans[plan].by_name)])
    names, count = drawn.choice(((), ("eu",), ("us",), ("eu", "us"))), drawn.choice((0, 1, 2))
    mode, timing = drawn.choice(tuple(e.SeatRemoval)), drawn.choice(tuple(e.Timing))
    walk.ask(
        drawn.choice(
            (
                c.AddSeats(key, account, plan, names, count),
                c.AddSeats(key, account, plan, (to,) if to else (), count),
                c.RemoveSeats(key, account, plan, names, count, mode),
                c.RemoveSeats(key, account, plan, (seat,) if seat else (), count, mode),
                c.ReassignSeat(key, account, plan, seat, to),
                c.SuspendSeat(key, account, plan, seat),
                c.ResumeSeat(key, account, plan, seat),
                c.EndSeatPlan(key, account, plan, timing, mode),
            )
        )
    )


# -- work that names a seat ------------------------------------------------------------------------


@action("work", 5)
def use_a_seat(walk: Walk, drawn: Random) -> None:
    words = [f"usage {walk.name_of(drawn)} {drawn.randint(1, 60)} id={walk.fresh()}"]
    words.append(f"of={drawn.choice(('chat', 'chat', 'third', 'image'))}")
    words.append(f"with=desk:{drawn.choice(DESKS)}")
    words.append(drawn.choice(("", "", "at=-1h", "at=-3d", "at=-20d")))
    walk.do(" ".join(words))


@action("work", 2)
def hold_for_a_seat(walk: Walk, drawn: Random) -> None:
    words = [f"hold {walk.name_of(drawn)} {drawn.randint(1, 60)} as={walk.fresh()}"]
    words.append(f"of={drawn.choice(('chat', 'third'))} with=desk:{drawn.choice(DESKS)}")
    walk.do(" ".join(words))


@action("work", 2)
def capture_or_release_hold(walk: Walk, drawn: Random) -> None:
    still = walk.case.core.state.holds
    holds = sorted(name for name, (_, number) in walk.case.holds.items() if number in still)
    if holds:
        verb = drawn.choice(("capture {} 7", "capture {} 40", "capture {} 5 open", "release {}"))
        walk.do(verb.format(drawn.choice(holds)))


# -- caps, sharing, budgets, statements ------------------------------------------------------------


@action("sharing", 2)
def set_cap(walk: Walk, drawn: Random) -> None:
    grants = sorted(walk.case.grants)
    of = ""
    if grants and drawn.random() < 0.5:
        of = f"grant={drawn.choice(grants)} {drawn.choice(('', 'reserve=20'))}"
    owner, below = drawn.choice(("acme", "acme", "eu")), walk.name_of(drawn)
    limit = drawn.choice(("40", "100", "of=1/3", "of=1/1"))
    window = drawn.choice(("", "window=day", "window=sliding/5h", "window=fixed/7h"))
    window = drawn.choice((window, "window=billing"))
    walk.do(f"cap {owner} {below} {limit} as={walk.fresh()} {of} {window}")


@action("sharing", 2)
def change_or_remove_cap(walk: Walk, drawn: Random) -> None:
    caps = sorted(walk.case.caps)
    if caps:
        verb = drawn.choice(("uncap {}", "recap {} 10", "recap {} 90", "recap {} of=1/2"))
        walk.do(verb.format(drawn.choice(caps)))


@action("sharing", 1)
def share_grant(walk: Walk, drawn: Random) -> None:
    grants = sorted(walk.case.grants)
    if grants:
        walk.do(f"share {drawn.choice(grants)} {drawn.choice(('all', 'none', 'eu', 'sales'))}")


@action("sharing", 2)
def set_budget(walk: Walk, drawn: Random) -> None:
    words = [f"budget {walk.name_of(drawn)}/{drawn.choice('wxb')} {drawn.choice((50, 200))}"]
    words.append(drawn.choice(("", "soft")))
    words.append(drawn.choice(("", "each=day", "each=last:3h", "each=billing", "each=first:5h")))
    words.append(drawn.choice(("", "of=net", "of=requests", "by=desk values=2")))
    walk.do(f"{' '.join(words)} at=50")


@action("sharing", 1)
def remove_budget(walk: Walk, drawn: Random) -> None:
    walk.do(f"unbudget {walk.name_of(drawn)}/{drawn.choice('wxb')}")


@action("statements", 2)
def set_statements(walk: Walk, drawn: Random) -> None:
    form = drawn.choice(tuple(e.StatementForm))
    walk.ask(c.SetStatements(walk.key(), walk.number_of(drawn), form))


@action("statements", 1)
def end_statement(walk: Walk, drawn: Random) -> None:
    walk.ask(c.EndStatement(walk.key(), walk.number_of(drawn)))
