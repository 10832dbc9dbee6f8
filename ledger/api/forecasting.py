"""Forecasts: what pays from durable state, what was used from the read models.

Not of the core: nothing is decided by what is here, and the same positions give the same answer.
The futures are run in a thread, so that other calls have their turn in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.api.balance_figures import assets_of
from ledger.api.budget_pace import Pace, paces_of
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.read_models import STALL_S, behind, followed, reached
from ledger.core.drawing.drawdown import grace_ended, in_all, overdraft_limit
from ledger.core.events import Excess, Overage
from ledger.core.funding.caps import Rooms, shared_as
from ledger.core.funding.recurring import planned_until
from ledger.core.limits import HOUR_US
from ledger.core.state import Account, Grant, State
from ledger.forecast.draws import seed_of
from ledger.forecast.figures import Band, Bill, Foretold, foretell
from ledger.forecast.hours import HISTORY, Hours, hours_of
from ledger.forecast.pots import Means, Pot, means_of
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.projections.burn import Burn, burn_of
from ledger.v1 import balance_pb2 as pb

HORIZON_MAX: Final = 2_160  # hours: 90 days
HORIZON_DEFAULT: Final = 720
CATCH_UP_S: Final = 30.0  # for read models, where nobody waits for the answer


class Payable(NamedTuple):
    """What pays for usage in one asset, and how the rest is billed."""

    asset: int
    means: Means
    coming: int
    bill: Bill


class Present(NamedTuple):
    """What the state says of the accounts, taken at one position."""

    now_us: int
    period_end_us: int
    accounts: list[int]
    above: list[int]
    assets: list[Payable]
    budgets: list[Pace]


class Seen(NamedTuple):
    """What is foretold of one asset."""

    as_of_us: int
    found: Foretold


class Forecasts:
    """See BalanceService.Forecast."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history

    async def forecast(self, request: pb.ForecastRequest) -> pb.ForecastResponse:
        """What is to be expected of the balances of an account, or of it and all below it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.between("horizon_hours", request.horizon_hours, 0, HORIZON_MAX)
        check.done()
        entry = await edge.account(tenant, request.account)
        history = await reached(self._history, entry, request.min_position)
        horizon = request.horizon_hours or HORIZON_DEFAULT
        present, position = await self._read(
            entry, request.subtree, horizon, minimum(request.min_position, entry.shard)
        )
        await followed(history, entry, position)
        now_us = present.now_us
        burn = await _burn(history, entry, present)
        payable = {each.asset: each for each in present.assets}
        for asset in burn.drawn.keys() - payable.keys():
            payable[asset] = _nothing(asset, present)
        seed = seed_of(entry.number, position, burn.standing.entries, now_us)
        hours = {
            asset: hours_of(burn.drawn.get(asset, {}), burn.began.get(asset), now_us)
            for asset in payable
        }
        found = await asyncio.to_thread(
            _foretell, list(payable.values()), hours, present, horizon, seed
        )
        names = await edge.names({each.account for each in present.budgets})
        response = pb.ForecastResponse(
            account=entry.account_id,
            as_of_us=now_us,
            horizon_us=now_us + horizon * HOUR_US,
            period_end_us=present.period_end_us,
            position=position_of(entry.shard, position),
            usage_position=position_of(entry.shard, burn.standing.entries),
        )
        by_code = sorted(found, key=lambda each: edge.assets.of(each).code)
        for number in by_code:
            response.assets.append(self._render(payable[number], found[number]))
        for pace in sorted(present.budgets, key=lambda each: (names[each.account], each.name)):
            response.budgets.append(
                pb.BudgetForecast(
                    account=names[pace.account],
                    name=pace.name,
                    limit=pace.limit,
                    used=str(pace.used),
                    left=str(pace.left),
                    runs_out_at_us=pace.runs_out_at_us,
                    resets_at_us=pace.resets_at_us,
                )
            )
        return response

    async def caught_up(self, entry: Entry, asset: int, horizon: int) -> Seen:
        """What is foretold of one asset of an account, from read models that have all that the
        state has. Raises CallFailed where they have not."""
        history = await reached(self._history, entry, "")
        present, position = await self._read(entry, False, horizon, 0)
        standing = await history.standing(entry.tenant, entry.shard)
        if standing.entries < position and history.stood_s(entry.shard, standing) < STALL_S:
            standing = await history.reach(entry.tenant, entry.shard, position, CATCH_UP_S)
        if standing.entries < position:
            raise behind(history, entry.shard, standing, position, "min_position", "")
        burn = await _burn(history, entry, present)
        [payable] = [each for each in present.assets if each.asset == asset] or [
            _nothing(asset, present)
        ]
        hours = hours_of(burn.drawn.get(asset, {}), burn.began.get(asset), present.now_us)
        seed = seed_of(entry.number, position, burn.standing.entries, present.now_us)
        found = await asyncio.to_thread(
            _foretell, [payable], {asset: hours}, present, horizon, seed
        )
        return Seen(present.now_us, found[asset])

    async def _read(
        self, entry: Entry, subtree: bool, horizon: int, least: int
    ) -> tuple[Present, int]:
        clock_us = self._edge.ledger.clock.now_us()
        return await self._edge.writer(entry).read(
            lambda state: _present(state, entry, subtree, horizon, clock_us),
            least,
            (entry.number,),
        )

    def _render(self, payable: Payable, found: Foretold) -> pb.AssetForecast:
        asset = self._edge.assets.of(payable.asset)
        empty = found.empty_at_us
        return pb.AssetForecast(
            asset=asset.code,
            scale=asset.scale,
            outlook=pb.Outlook.ValueType(found.outlook),
            available=str(found.available),
            history_hours=found.history,
            burn_last_day=str(found.last_day),
            burn_per_hour=str(found.burn_an_hour),
            burn_per_day=str(found.burn_a_day),
            empty_at_us=pb.InstantBand(**empty._asdict()) if empty is not None else None,
            balance=_amounts(found.left),
            used=_amounts(found.used),
            expired=_amounts(found.expired),
            coming=str(payable.coming),
            unpaid=_amounts(found.unpaid),
            bill_so_far=str(payable.bill.so_far),
            bill=_amounts(found.bill),
        )


async def _burn(history: History, entry: Entry, present: Present) -> Burn:
    since = (present.now_us // HOUR_US - HISTORY) * HOUR_US
    return await burn_of(
        history.pool, entry.tenant, entry.shard, present.accounts, present.above, since
    )


def _nothing(asset: int, present: Present) -> Payable:
    """Of an asset in which there is nothing."""
    return Payable(asset, means_of([], [], 0, 0, present.now_us), 0, Bill(0, False, 0))


def _amounts(band: Band | None) -> pb.AmountBand | None:
    return (
        None
        if band is None
        else pb.AmountBand(p10=str(band.p10), p50=str(band.p50), p90=str(band.p90))
    )


def _foretell(
    payable: Sequence[Payable], hours: dict[int, Hours], present: Present, horizon: int, seed: int
) -> dict[int, Foretold]:
    return {
        each.asset: foretell(
            hours[each.asset],
            each.means,
            each.bill,
            present.now_us,
            horizon,
            present.period_end_us,
            seed_of(seed, each.asset),
        )
        for each in payable
    }


# -- what the state says --------------------------------------------------------------------------


def _present(state: State, entry: Entry, subtree: bool, horizon: int, clock_us: int) -> Present:
    top = state.accounts.get(entry.number)
    if top is None:
        raise CallFailed(
            "ACCOUNT_UNKNOWN",
            "the account's opening is not recorded; send its Create again",
            field="account",
            value=entry.account_id,
        )
    now_us = state.present(clock_us)
    accounts = top.below() if subtree else [top]
    above = top.line()[1:]
    until = now_us + horizon * HOUR_US
    period_end = top.calendar.end_of(now_us)
    recurring = _coming(accounts, above, top, max(until, period_end))
    assets = sorted({asset for each in accounts for asset in assets_of(each)} | set(recurring))
    return Present(
        now_us,
        period_end,
        [each.number for each in accounts],
        [each.number for each in above],
        [
            _payable(accounts, top, asset, recurring.get(asset, []), now_us, until)
            for asset in assets
        ],
        [pace for each in accounts for pace in paces_of(each, now_us)],
    )


def _payable(
    accounts: Sequence[Account],
    top: Account,
    asset: int,
    coming: list[Pot],
    now_us: int,
    until: int,
) -> Payable:
    pots: list[Pot] = []
    scheduled: list[Pot] = []
    seen: set[int] = set()
    owed = headroom = so_far = 0
    for account in accounts:
        rooms = Rooms(account, now_us)
        for grant in in_all(account):
            if grant.asset != asset or grant.number in seen or grant.expires_at <= now_us:
                continue
            seen.add(grant.number)
            pot = Pot(_units(rooms, grant), grant.effective_at, grant.expires_at)
            (pots if grant.effective_at <= now_us else scheduled).append(pot)
        advance = account.advance.get(asset)
        limit = 0 if grace_ended(account, asset, now_us) else overdraft_limit(account, asset)
        if advance is not None:
            owed += advance.owed
            headroom -= advance.owed + advance.debits_pending
        headroom += limit
        so_far += account.overage_posted.get((asset, account.calendar.start_of(now_us)), 0)
    coming = [*scheduled, *coming]
    policy = top.policy
    bills = policy.overage != Overage.OFF or policy.excess == Excess.BILL
    capped = policy.overage_cap >= 0 and policy.excess != Excess.BILL
    return Payable(
        asset,
        means_of(pots, coming, owed, headroom, now_us),
        sum([pot.units for pot in coming if pot.starts_at < until]),
        Bill(so_far, bills, policy.overage_cap if capped else None),
    )


def _units(rooms: Rooms, grant: Grant) -> int:
    """What may be drawn of a grant, as far as caps and reserves leave it (rule D8)."""
    if not (grant.aside or grant.account.caps_given):
        return grant.book.available
    units = max(0, rooms.of(grant))
    rooms.take(grant, units)
    return units


def _coming(
    accounts: Sequence[Account], above: Sequence[Account], top: Account, until: int
) -> dict[int, list[Pot]]:
    """What recurring grants are to issue before an instant, by asset, in the order of its start:
    of these accounts, and of those above as far as all of it is shared."""
    found: dict[int, list[Pot]] = {}
    for account in (*accounts, *above):
        for recurring in account.recurring:
            terms = recurring.next_terms or recurring.terms
            if account.depth < top.depth:
                shared, narrow = shared_as(terms.shared, recurring.sharing)
                if not shared or narrow is not None:
                    continue
            pots = [Pot(*planned) for planned in planned_until(recurring, until)]
            found.setdefault(terms.asset, []).extend(pots)
    for pots in found.values():
        pots.sort(key=lambda pot: pot.starts_at)
    return found
