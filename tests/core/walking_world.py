"""What random walks over the core (`walking`) act in: packages of every kind, a case that knows
the statements of all the others, and watches over what changes of package take back, what
their seats are given, and what both give together."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from budget_case import BudgetCase
from contract_world import ContractCase
from core_world import CREDITS, TENANT, Core
from family_case import FamilyCase
from watched_case import WatchedCase
from waterfall_model import Model

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    Package,
    PackagedAllotment,
    PackagedExcess,
    PackagedGrant,
    PackagedKind,
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedSeats,
    PackagedUnit,
    PackageVersion,
    Phase,
    PhasedGrant,
    validate,
    version_of,
)
from ledger.core.packages.packaged_budgets import (
    PackagedBudget,
    PackagedMeasure,
    PackagedWindow,
    PackagedWindowKind,
    PackagedWindowUnit,
)
from ledger.core.packages.packaged_charges import (
    PackagedBilling,
    PackagedCharge,
    PackagedDiscount,
)
from ledger.core.packages.phases import present
from ledger.core.packages.subscriptions import Subscription
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account
from rating.overrides import Override, Overwrite

FREE = PackagedKind.PROMOTIONAL
ROLLS = PackagedRollover(1, 2, lifetime_us=9 * DAY_US)
ROLLS_ON = PackagedRollover(1, 1, lifetime_us=20 * DAY_US, again=True)
EACH_DAY = PackagedWindow(PackagedWindowKind.CALENDAR, PackagedWindowUnit.DAY, "UTC")
DESKS = PackagedSeats(
    "desks", PackagedGrant("desk", "credits", 30, FREE), "desk", PackagedAllotment.INDIVIDUAL, 2
)
POOL = PackagedSeats(
    "pool", PackagedGrant("desk", "credits", 20, price_paid=70, price_asset="USD"), "desk"
)
BENCH = PackagedSeats(
    "bench", PackagedGrant("desk", "credits", 25, FREE), "desk", PackagedAllotment.INDIVIDUAL, 3
)
HALL = PackagedSeats("hall", PackagedGrant("desk", "credits", 45, FREE), "desk", included=2)
PACKAGES = ("plain", "billed", "seated", "phased", "priced", "drawn", "benched", "halled")


def _credits(amount: int, *, paid: bool = False, **more: Any) -> PackagedGrant:
    if paid:
        more |= {"price_paid": 70, "price_asset": "USD"}
    return PackagedGrant("credits", "credits", amount, **more)


def _fee(name: str, amount: int, asset: str = "credits", **more: Any) -> PackagedCharge:
    return PackagedCharge(name, "plan", asset, amount, **more)


def packages(unit: PackagedUnit) -> dict[str, Package]:
    """Packages of one period: grants, seats, budgets, phases, fees in units and in money, drawn
    before and after their period, discounted and once, and prices of their own."""
    found = (
        Package(unit, grants=(_credits(100, kind=FREE),)),
        Package(
            unit,
            grants=(_credits(300, paid=True, rollover=ROLLS, shared=True),),
            charges=(
                _fee("base", 310, "USD"),
                _fee("paid", 9, "USD", cash_only=True),
            ),
            policy=PackagedPolicy(overage=PackagedOverage.SELF),
        ),
        Package(
            unit,
            grants=(_credits(150, paid=True),),
            seats=(DESKS,),
            budgets=(PackagedBudget("b", PackagedMeasure.CHARGE, 200, "credits", window=EACH_DAY),),
            charges=(_fee("base", 620, "USD"), _fee("fee", 33, billing=PackagedBilling.ARREARS)),
        ),
        Package(
            unit,
            grants=(_credits(200),),
            seats=(POOL,),
            phases=(
                Phase("trial", days=5, grants=(PhasedGrant("credits", 40, kind=FREE),)),
                Phase("ramp", periods=2, grants=(PhasedGrant("credits", 90),)),
            ),
            policy=PackagedPolicy(excess=PackagedExcess.ABSORB),
        ),
        Package(
            unit,
            grants=(_credits(120, rollover=ROLLS_ON),),
            charges=(
                _fee("fee", 70, billing=PackagedBilling.ARREARS),
                _fee("discounted", 41, discount=PackagedDiscount(1, 3, periods=2)),
                _fee("entry", 90, once=True),
                _fee("whole", 77, "USD", whole_first=True, whole_last=True),
            ),
            policy=PackagedPolicy(overage=PackagedOverage.SELF, excess=PackagedExcess.BILL),
            overrides=(Override("chat", "tokens", Overwrite("credits", "2")),),
        ),
        Package(
            unit,
            grants=(_credits(250, kind=FREE),),
            seats=(DESKS,),
            charges=(_fee("fee", 50, billing=PackagedBilling.ARREARS), _fee("rest", 30)),
        ),
        Package(unit, grants=(_credits(80, kind=FREE),), seats=(BENCH,)),
        Package(unit, grants=(_credits(60, kind=FREE),), seats=(HALL, POOL)),
    )
    return dict(zip(PACKAGES, found, strict=True))


def publish_packages(core: Core, unit: PackagedUnit) -> None:
    """What a shard does with published packages, each in a version of the configuration."""
    for name, package in packages(unit).items():
        assert not validate(package), name
        version = core.state.configuration.get(TENANT, 0) + 1
        core.run(c.ApplyConfiguration(TENANT, version, b"package"))
        core.catalog.add_package(TENANT, name, PackageVersion(version, core.now, 1, package))


class WalkedCase(WatchedCase, ContractCase, FamilyCase, BudgetCase):
    """Tells statements of packages, contracts, families and budgets. A witness and a replica read
    every entry; the naive waterfall does not, as it knows neither caps nor seats."""

    def _model_for(self, command: c.Command) -> Model | None:
        return None

    def _within_its_limits(self, hold: e.HoldAuthorized) -> None:
        """The waterfall's limits, which a package's policy changes."""

    def tell(self, event: e.Event) -> str:
        """As any; what no statement has named is told as its kind."""
        try:
            return super().tell(event)
        except (StopIteration, KeyError):
            return type(event).__name__


class TakenBack:
    """What changes of package took back of each grant: by the share of the time that is left never
    more, in all, than that share (rules P3, S1, D6)."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._taken: dict[int, int] = {}
        self._ends: dict[int, int] = {}  # account -> where the period of its package ends
        self._read = (0, 0)  # batches, and entries of the last of them

    def look(self) -> None:
        """At what was written since the last look, all at one time."""
        batch, done = self._read
        batches, accounts = self._core.batches, self._core.state.accounts.values()
        for place in range(max(batch - 1, 0), len(batches)):
            for event in batches[place][1][done if place == batch - 1 else 0 :]:
                if isinstance(event, e.PackageChanged | e.SubscriptionCancelled):
                    self._see(event)
        self._read = (len(batches), len(batches[-1][1]))
        self._ends = {
            each.number: each.subscription.period_end
            for each in accounts
            if each.subscription is not None
        }

    def _see(self, event: e.PackageChanged | e.SubscriptionCancelled) -> None:
        now, grants = self._core.state.now, self._core.state.grants
        for part in event.taken:
            taken = self._taken[part.grant] = self._taken.get(part.grant, 0) + part.amount
            if event.old_grants == e.OldGrants.PRORATE:
                grant, until = grants[part.grant], self._ends[event.account]
                share = Fraction(grant.amount * (until - now), until - grant.effective_at)
                assert taken <= round(share), f"grant {part.grant}: {taken} of {share} taken back"


class SeatsReleased:
    """What the periods of a package's plans of seats that run have released: in all no more than
    the package that has given most would for the time of them all, and once as much beside what a
    contract found there (rules P3, P5, S2). Each seat of its own is rounded by
    itself, and so is a pool."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rates: dict[
            int, list[tuple[int, int]]
        ] = {}  # account -> (since when, units a period)

    def look(self) -> None:
        """At all accounts as they are now."""
        now = self._core.state.now
        for account in self._core.state.accounts.values():
            plans = account.seats.plans.values() if account.seats is not None else ()
            running = [each for each in plans if each.terms.packaged and each.period_end > now]
            if running:
                self._look_at(account, running, now)

    def _look_at(self, account: Account, running: list[SeatPlan], now: int) -> None:
        assert account.subscription is not None
        versions = self._core.state.catalog.packages[TENANT, account.subscription.package]
        named = {each.name for each in versions[-1].package.seats}
        rates = {each.name: each.tally.largest * each.terms.allowance.amount for each in running}
        present = sum([rate for name, rate in rates.items() if name in named])
        seen = self._rates.setdefault(account.number, [])
        seen.append((now, max(present, *rates.values())))
        start = min([each.period_start for each in running])
        since = [at for at, _ in seen if at <= start]
        most = max([rate for at, rate in seen if at >= max(since, default=0)])
        lasts = max([each.period_end for each in running]) - start
        bound = Fraction(most * lasts, min([each.full for each in running]))
        bound *= 1 + any(start <= max(each.starts_at, each.signed_at) for each in account.contracts)
        bound += Fraction(sum([1 + len(each.seats) for each in running]), 2)
        released = sum([each.tally.released for each in running])
        assert released <= bound, f"account {account.number}: {released} units of {bound}"


class GivenTogether:
    """What a period of a package has given, grants and seats together: no more than the largest of
    its packages gives for the whole of it, with as many seats as each had (rule P3). Not watched is
    an account with a contract, beside which it keeps what it had (rule P5), and one whose seats
    have other periods than its package."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # account -> end of the period, and the packages that it had, with what they grant
        self._had: dict[int, tuple[int, set[tuple[str, int]]]] = {}

    def look(self) -> None:
        """At all accounts as they are now."""
        for account in self._core.state.accounts.values():
            subscription = account.subscription
            if subscription is None or account.contracts:
                continue
            if subscription.period_end > self._core.state.now:
                self._look_at(account, subscription)

    def _look_at(self, account: Account, subscription: Subscription) -> None:
        state = self._core.state
        place = (TENANT, subscription.package)
        version = version_of(state.catalog.packages[place], subscription.version)
        assert version is not None
        package = present(version, subscription).package
        end, had = self._had.get(account.number, (0, set()))
        if end != subscription.period_end:
            had = set()
        grants = sum([each.amount for each in package.grants if each.asset == "credits"])
        had.add((subscription.package, grants))
        self._had[account.number] = subscription.period_end, had
        of = account.seats.plans.values() if account.seats is not None else ()
        plans = [each for each in of if each.terms.packaged and each.period_end > state.now]
        start = subscription.period_end - subscription.full
        if any(each.period_start < start for each in plans):
            return
        rates = {each.name: each.tally.largest * each.terms.allowance.amount for each in plans}
        most = 0
        for name, granted in had:
            named = state.catalog.packages[TENANT, name][-1].package.seats
            most = max(most, granted + sum([rates.get(each.name, 0) for each in named]))
        given = sum([each.released for each in subscription.minted if each.asset == CREDITS])
        seated = sum([each.tally.released for each in plans])
        assert given + seated <= most, f"account {account.number}: {given} + {seated} of {most}"
