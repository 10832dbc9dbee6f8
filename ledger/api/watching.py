"""BalanceService.Watch: accounts of one family as they change, from durable state alone.

Each message is a look at the state, in order with everything else and answered once that is durable
(`Writer.read`), less what the message before has shown. So a slow reader holds one look in memory
and no queue, and whoever comes back begins with a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from ledger.api.balance_figures import BalanceFigures, assets_of, balance_figures, render_figures
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import HOLD, mint
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_budget import budget_view
from ledger.api.rendering.render_decision import hold_view
from ledger.api.rendering.render_runway import render_runway
from ledger.core.funding.runway import Runway
from ledger.core.limits import MINUTE_US, SECOND_US
from ledger.core.state import Account, State
from ledger.engine.watching import Watcher
from ledger.engine.writer import Writer
from ledger.journal.directory import Entry
from ledger.v1 import balance_pb2 as pb
from ledger.v1 import types_pb2
from rating.overrides import OverrideSet

WATCHED_MAX: Final = 200  # accounts of a stream; x ~20 us a look
HOLDS_SHOWN_MAX: Final = 1_000  # open ones of an account, in the first message
INTERVAL_MAX_US: Final = MINUTE_US
LOOK_AGAIN_S: Final = 5  # what time alone changes has no entry: a grant takes effect, a window ends
METHOD: Final = "ledger.v1.BalanceService/Watch"


class HoldFigures(NamedTuple):
    """An open hold."""

    left: int
    asset: int
    expires_at_us: int


class BudgetFigures(NamedTuple):
    """A budget in its present window."""

    name: str
    limit: int
    used: int
    pending: int
    resets_at_us: int


class PriceFigures(NamedTuple):
    """What prices an account's usage."""

    card: str = ""
    version: int = 0
    overrides_version: int = 0
    means: str = ""
    """The card that an alias means; else the card."""

    candidates: tuple[int, ...] = ()
    overrides: str = ""
    """All that stand over it, whosever they are."""

    stretch: int = 0
    """Of time, in which the same of them are in force."""

    @property
    def revision(self) -> str:
        """Another one whenever one of them is another."""
        return blake2b(repr(tuple(self)).encode(), digest_size=16).hexdigest()


class AccountFigures(NamedTuple):
    """What is shown of an account."""

    balances: tuple[BalanceFigures, ...]
    holds: Mapping[int, HoldFigures]
    budgets: tuple[BudgetFigures, ...]
    prices: PriceFigures
    frozen: bool
    closed: bool
    runways: tuple[Runway, ...]


NOTHING: Final = AccountFigures((), {}, (), PriceFigures(), False, False, ())


class Look(NamedTuple):
    """The watched accounts at one position, by number."""

    as_of_us: int
    accounts: Mapping[int, AccountFigures]


class BalanceWatch:
    """Part of BalanceService."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def watch(
        self, request: pb.WatchRequest, call: Call
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        """All watched accounts, then their changes, until the caller or the server goes."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(product=request.product)
        check.between("min_interval_us", request.min_interval_us, 0, INTERVAL_MAX_US)
        check.done()
        entries = await self._named(tenant, request.accounts)
        writer = edge.writer(entries[0])
        numbers = [entry.number for entry in entries]
        watch = _Looking(edge, writer, numbers, request)
        with writer.watchers.watching(entries[0].root) as watcher:
            before: dict[int, AccountFigures] = {}
            after = minimum(request.after_position, entries[0].shard)
            first, batches = True, 0
            while True:
                batches += watcher.take()
                look, reached = await watch.look(after)
                message = await self._said(entries[0].shard, look, before, request, first)
                if message is not None:
                    message.position = position_of(entries[0].shard, reached)
                    message.as_of_us = look.as_of_us
                    message.batches = batches
                    before, batches = dict(look.accounts), 0
                    yield message
                first, after = False, 0
                if not await self._woken(watcher, request.min_interval_us if message else 0):
                    return
                await call.still_let_in(METHOD, request)

    async def _named(self, tenant: int, names: Sequence[str]) -> list[Entry]:
        if not 1 <= len(names) <= WATCHED_MAX:
            raise CallFailed(
                "WATCH_LIMIT",
                f"{len(names)} accounts; name from 1 to {WATCHED_MAX}",
                field="accounts",
                value=str(len(names)),
            )
        entries = [await self._edge.account(tenant, name, "accounts") for name in names]
        for entry in entries:
            if entry.root != entries[0].root:
                raise CallFailed(
                    "WATCH_FAMILIES",
                    f"{entry.account_id} and {entries[0].account_id} are of two families; watch "
                    "each family by a stream of its own",
                    field="accounts",
                    value=entry.account_id,
                )
        return entries

    async def _woken(self, watcher: Watcher, interval_us: int) -> bool:
        """Wait for a change, at least so long; False = the server stops."""
        closing = self._edge.closing
        if interval_us:
            await _first_of(closing.wait(), timeout_s=interval_us / SECOND_US)
        await _first_of(closing.wait(), watcher.changed.wait(), timeout_s=LOOK_AGAIN_S)
        return not closing.is_set()

    async def _said(
        self,
        shard: int,
        look: Look,
        before: Mapping[int, AccountFigures],
        request: pb.WatchRequest,
        first: bool,
    ) -> pb.WatchResponse | None:
        """What is new of a look; None = nothing is. The first is whole, whatever it shows."""
        changed = [
            number for number, seen in look.accounts.items() if first or seen != before.get(number)
        ]
        gone = [number for number in before if number not in look.accounts]
        if not changed and not gone and not first:
            return None
        names = await self._edge.names([*changed, *gone])
        message = pb.WatchResponse(snapshot=first, gone=sorted(names[number] for number in gone))
        for number in sorted(changed, key=names.__getitem__):
            seen, known = look.accounts[number], before.get(number)
            shown = self._shown(seen, known if known is not None else NOTHING, known is None)
            shown.account = names[number]
            if request.holds:
                shown.holds.extend(await self._holds(shard, number, seen, known))
            message.accounts.append(shown)
        return message

    def _shown(self, seen: AccountFigures, known: AccountFigures, new: bool) -> pb.WatchedAccount:
        assets = self._edge.assets
        shown = pb.WatchedAccount(frozen=seen.frozen, closed=seen.closed)
        if new or seen.balances != known.balances:
            balances = [render_figures(assets, each) for each in seen.balances]
            shown.balances.extend(sorted(balances, key=lambda balance: balance.asset))
        if seen.budgets != known.budgets:
            shown.no_budgets = not seen.budgets
            shown.budgets.extend(
                pb.WatchedBudget(
                    name=each.name,
                    limit=each.limit,
                    used=str(each.used),
                    pending=str(each.pending),
                    left=str(each.limit - each.used - each.pending),
                    resets_at_us=each.resets_at_us,
                )
                for each in seen.budgets
            )
        if new or seen.prices != known.prices:
            prices = seen.prices
            shown.prices.CopyFrom(
                pb.WatchedPrices(
                    rate_card=prices.card,
                    rate_card_version=prices.version,
                    overrides_version=prices.overrides_version,
                    revision=prices.revision,
                )
            )
        if seen.runways != known.runways:
            alerts = [render_runway(assets, each) for each in seen.runways]
            shown.runways.CopyFrom(pb.WatchedRunways(alerts=alerts))
        return shown

    async def _holds(
        self, shard: int, number: int, seen: AccountFigures, known: AccountFigures | None
    ) -> list[pb.WatchedHold]:
        """Holds that are open and were not so before, and those that are settled since."""
        assets = self._edge.assets
        before = known.holds if known is not None else {}
        shown: list[pb.WatchedHold] = []
        for hold, figures in seen.holds.items():
            if before.get(hold) == figures:
                continue
            if known is None and len(shown) == HOLDS_SHOWN_MAX:
                break
            asset = assets.of(figures.asset) if figures.asset else None
            shown.append(
                pb.WatchedHold(
                    hold_id=mint(HOLD, shard, number, hold),
                    state=types_pb2.HOLD_STATE_OPEN,
                    left=figures.left,
                    asset=asset.code if asset is not None else "",
                    scale=asset.scale if asset is not None else 0,
                    expires_at_us=figures.expires_at_us,
                )
            )
        settled = [hold for hold in before if hold not in seen.holds]
        if settled:
            writer = self._edge.ledger.writers[shard]
            ended, _ = await writer.read(
                lambda state: [hold_view(state, number, hold).state for hold in settled],
                accounts=(number,),
            )
            shown.extend(
                pb.WatchedHold(hold_id=mint(HOLD, shard, number, hold), state=state)
                for hold, state in zip(settled, ended, strict=True)
            )
        return shown


class _Looking:
    """Looks at the accounts of one stream."""

    def __init__(
        self, edge: Edge, writer: Writer, numbers: Sequence[int], request: pb.WatchRequest
    ) -> None:
        self._clock = edge.ledger.clock
        self._writer = writer
        self._numbers = numbers
        self._request = request

    async def look(self, min_position: int) -> tuple[Look, int]:
        """At the newest state, durable when it returns."""
        return await self._writer.read(self._look, min_position, self._numbers)

    def _look(self, state: State) -> Look:
        now_us = state.present(self._clock.now_us())
        found: dict[int, Account] = {}
        for number in self._numbers:
            account = state.accounts.get(number)
            if account is None:
                raise CallFailed(
                    "ACCOUNT_UNKNOWN",
                    "the account's opening is not recorded; send its Create again",
                    field="accounts",
                    value=str(number),
                )
            for each in account.below() if self._request.subtree else (account,):
                found[each.number] = each
            if len(found) > WATCHED_MAX:
                raise CallFailed(
                    "WATCH_LIMIT",
                    f"more than {WATCHED_MAX} accounts are at or below these; watch fewer by one "
                    "stream",
                    field="subtree",
                    value=str(len(found)),
                )
        return Look(
            now_us, {number: self._figures(state, each, now_us) for number, each in found.items()}
        )

    def _figures(self, state: State, account: Account, now_us: int) -> AccountFigures:
        request = self._request
        return AccountFigures(
            tuple(
                balance_figures(state, account, asset, request.product, now_us)
                for asset in assets_of(account)
            ),
            _holds_of(account) if request.holds else {},
            tuple(_budgets_of(account, now_us)) if request.budgets else (),
            _prices_of(state, account, now_us),
            account.frozen,
            account.closed_at > 0,
            tuple([each for each in account.runways if each.alert is not None]),
        )


def _prices_of(state: State, account: Account, now_us: int) -> PriceFigures:
    key = account.card_key
    card = state.catalog.card(key)
    means = card.target_at(now_us)
    candidates = means.versions.candidates(now_us) if means is not None else ()
    over = key[2] if len(key) == 3 else None
    return PriceFigures(
        card.name,
        candidates[0].version if candidates else 0,
        account.overrides_version,
        means.name if means is not None else "",
        tuple([each.version for each in candidates]),
        _said_of(over) if over is not None else "",
        over.stretch(now_us) if over is not None else 0,
    )


@lru_cache(maxsize=1_024)  # sets are looked at again and again, and never change
def _said_of(overrides: OverrideSet) -> str:
    layers = [
        [(each.numbered.number, each.set_at_us, each.ended_at_us) for each in layer]
        for layer in overrides.layers
    ]
    return blake2b(repr((layers, overrides.sold)).encode(), digest_size=16).hexdigest()


def _holds_of(account: Account) -> dict[int, HoldFigures]:
    return {
        number: HoldFigures(hold.left, hold.asset, hold.expires_at)
        for number, hold in account.holds.items()
        if hold.outcome is None and hold.lease is None
    }


def _budgets_of(account: Account, now_us: int) -> list[BudgetFigures]:
    views = [budget_view(each, now_us) for each in account.budgets if each.values is None]
    return sorted(
        BudgetFigures(view.name, view.terms.limit, view.used, view.pending, view.resets_at_us)
        for view in views
    )


async def _first_of(*waits: Coroutine[Any, Any, Any], timeout_s: float) -> None:
    """Return when one of them does, or the time is over."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
