"""Looks, in the background, how long balances with a runway alert are to last, and has the writer
record what crosses.

Alerts are found in the read models, accounts looked at where they have changed, or an hour ago, so
many a round, and each forecast leaves most of the time to others. It is made as BalanceService's
is, but only from read models that have all that the state has: where they are behind, stand still,
or the state has moved on meanwhile, nothing is told and the account is looked at again. What was
told is the core's to know, so that a look that was lost, or is made twice, makes no difference.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.forecasting import Forecasts, Seen
from ledger.core.commands import ReportRunway
from ledger.core.events import RunwayCrossed
from ledger.core.funding.runway import Runway, crosses
from ledger.core.identity import KEY_BYTES
from ledger.core.state import State
from ledger.engine.ticket import NotApplied, OutcomeUnknown, Replay
from ledger.forecast.figures import Foretold, Outlook
from ledger.journal.connection import borrow
from ledger.journal.errors import JournalError
from ledger.projections.as_of import History
from ledger.projections.sql import load

POLL_S: Final = 5.0  # between two rounds
AWAY_S: Final = 10.0  # after one that failed
LOOKS_A_ROUND: Final = 64
CHECKS_A_ROUND: Final = 1_000  # whether they have changed; x ~20 us = 20 ms
CHECKS_A_TURN: Final = 50
LOOK_AGAIN_S: Final = 60.0  # at an account that has changed
UNCHANGED_S: Final = 3_600.0  # at one that has not: use goes on, and grants expire
SHARE: Final = 4  # rest as many times as long as a look took
REST_MAX_S: Final = 2.0

_SQL: Final = load("runways")
_log = logging.getLogger(__name__)


class Watched(NamedTuple):
    """An account and asset with an alert."""

    shard: int
    tenant: int
    account: int
    asset: int


class Looked(NamedTuple):
    """When it was looked at, at which standing of the alert, and what there was; None: nothing came
    of it."""

    at_s: float
    runway: Runway | None
    means: tuple[int, ...]


class RunwayWatch:
    """Tells of crossings on the shards that are open here."""

    def __init__(self, edge: Edge, history: History) -> None:
        self._edge = edge
        self._history = history
        self._forecasts = Forecasts(edge, history)
        self._looked: OrderedDict[Watched, Looked] = OrderedDict()  # checked last comes last
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Stop where it stands: what crosses is told by whoever has the shard next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> int:
        """Look at what is due; how many crossings were told. Raises JournalError, NotApplied,
        OutcomeUnknown."""
        loop = asyncio.get_running_loop()
        shards = [each.shard for each in self._edge.ledger.writers if each.opened.is_set()]
        async with borrow(self._history.pool) as connection:
            rows = await connection.fetch(_SQL["watched"], shards)
        told = 0
        late: set[int] = set()  # shards whose read models are behind: the rest of them waits, too
        for each in await self._due([Watched(*row) for row in rows]):
            began_s = loop.time()
            self._looked[each] = Looked(began_s, None, ())  # again soon, but where it is known
            if each.shard in late:
                continue
            try:
                told += await self._look(each)
            except CallFailed as error:
                _log.info("the runway of account %s is not known: %s", each.account, error)
                if error.reason.startswith("READ_MODELS_"):
                    late.add(each.shard)
            except (NotApplied, OutcomeUnknown, JournalError):
                raise
            except Exception:  # others are looked at all the same
                _log.exception("the runway of account %s cannot be looked at", each.account)
            await asyncio.sleep(min(SHARE * (loop.time() - began_s), REST_MAX_S))
        return told

    async def _due(self, watched: Sequence[Watched]) -> list[Watched]:
        """Those that were never looked at, then those that were not checked for longest."""
        kept = set(watched)
        for each in [each for each in self._looked if each not in kept]:
            del self._looked[each]
        due = [each for each in watched if each not in self._looked][:LOOKS_A_ROUND]
        known = list(itertools.islice(self._looked.items(), CHECKS_A_ROUND))
        now_s = asyncio.get_running_loop().time()
        for number, (each, seen) in enumerate(known, start=1):
            if len(due) >= LOOKS_A_ROUND:
                break
            self._looked.move_to_end(each)
            if now_s - seen.at_s >= UNCHANGED_S or (
                now_s - seen.at_s >= LOOK_AGAIN_S and self._has_changed(each, seen)
            ):
                due.append(each)
            if number % CHECKS_A_TURN == 0:
                await asyncio.sleep(0)
        return due

    def _has_changed(self, watched: Watched, seen: Looked) -> bool:
        """A family that is not in memory has not since."""
        state = self._edge.ledger.writers[watched.shard].state
        if seen.runway is None or watched.account not in state.accounts:
            return seen.runway is None
        return (_runway(state, watched), _means(state, watched)) != (seen.runway, seen.means)

    async def _look(self, watched: Watched) -> bool:
        """Forecast one balance; whether a crossing was told. Raises CallFailed where the read
        models are behind or stand still."""
        edge, looked_at_s = self._edge, asyncio.get_running_loop().time()
        writer = edge.ledger.writers[watched.shard]
        await writer.bring_in((watched.account,))
        runway, means = _runway(writer.state, watched), _means(writer.state, watched)
        if runway is None or runway.alert is None:
            return False
        units = _units(writer.state, watched)
        names = await edge.names([watched.account])
        account_id = names[watched.account]
        if not account_id or writer.state.accounts[watched.account].closed_at:
            self._looked[watched] = Looked(looked_at_s, runway, means)
            return False
        hours = runway.alert.rearm_hours if runway.short else runway.alert.hours
        entry = await edge.own_account(watched.tenant, account_id)
        seen = await self._forecasts.caught_up(entry, watched.asset, hours)
        command = _report(watched, runway, seen)
        if command is None:
            self._looked[watched] = Looked(looked_at_s, runway, means)
            return False
        await writer.bring_in((watched.account,))
        if not runway.short and _units(writer.state, watched) > units:
            return False  # foretold without what came since
        [outcome] = (await writer.submit([command])).outcomes
        return isinstance(outcome, RunwayCrossed) and not isinstance(outcome, Replay)

    async def _go_on(self) -> None:
        while True:
            pause_s = POLL_S
            try:
                await self.round()
            except (NotApplied, OutcomeUnknown, JournalError, CallFailed) as error:
                _log.warning("runway alerts wait: %s", error)
                pause_s = AWAY_S
            await asyncio.sleep(pause_s)


def _runway(state: State, watched: Watched) -> Runway | None:
    account = state.accounts.get(watched.account)
    if account is None:
        return None
    return next((each for each in account.runways if each.asset == watched.asset), None)


def _means(state: State, watched: Watched) -> tuple[int, ...]:
    """Numbers that differ where what pays does, but for what time alone changes."""
    account = state.accounts[watched.account]
    found = [state.offsets.get(watched.tenant, 0), account.version]
    for each in account.line():
        for grant in each.with_units():
            if grant.asset == watched.asset and (each is account or grant.shared):
                found += (grant.number, grant.book.available, grant.expires_at)
    advance = account.advance.get(watched.asset)
    if advance is not None:
        found += (advance.owed, advance.debits_pending)
    return tuple(found)


def _units(state: State, watched: Watched) -> int:
    """What was granted and is not used: it grows as something comes."""
    return sum(
        [
            grant.book.credits_posted - grant.book.debits_posted
            for each in state.accounts[watched.account].line()
            for grant in each.with_units()
            if grant.asset == watched.asset
        ]
    )


def _report(watched: Watched, runway: Runway, seen: Seen) -> ReportRunway | None:
    """What is to be told of a forecast; None = nothing crosses, or too little is known."""
    found, alert = seen.found, runway.alert
    empty_at = _empty_at(seen.as_of_us, found)
    if empty_at is None or alert is None:
        return None
    if not crosses(alert, runway.short, seen.as_of_us, empty_at):
        return None
    used = found.used.p90 if found.used is not None else 0
    expired = found.expired.p90 if found.expired is not None else 0
    crossing = runway.crossings + 1
    return ReportRunway(
        key_of(watched.account, watched.asset, runway.version, crossing),
        watched.account,
        watched.asset,
        runway.version,
        crossing,
        seen.as_of_us,
        empty_at,
        found.available,
        used + expired,
    )


def _empty_at(as_of_us: int, found: Foretold) -> int | None:
    """When one future of ten is empty, 0 = not within the hours; None = nobody knows."""
    if found.outlook == Outlook.INSUFFICIENT_HISTORY:
        return None
    if found.outlook == Outlook.EMPTY:
        return as_of_us
    return found.empty_at_us.p10 if found.empty_at_us is not None else 0


def key_of(account: int, asset: int, version: int, crossing: int) -> bytes:
    """The identity of a crossing: the server's own, and the same whoever tells of it."""
    numbers = [each.to_bytes(8, "big") for each in (account, asset, version, crossing)]
    return blake2b(b"runway" + b"".join(numbers), digest_size=KEY_BYTES).digest()
