"""What a server knows of what was learned: read from PostgreSQL, kept in memory for some seconds.

A size is looked up in a dictionary. What is not known yet is read once, for at most WAIT_S; what
is older than FRESH_S is read again beside the calls that go on with what is there. Where the
database is away nothing is learned, and work is held for as it was asked: no decision fails for
want of a sketch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.core.events import Sized, SizedBy
from ledger.journal.connection import Pool, borrow
from ledger.journal.errors import JournalUnavailable
from ledger.projections.sql import load
from ledger.sizing.rules import SizingRule, fortnight_of, values_of

if TYPE_CHECKING:
    from ledger.sizing.sketches import Sketch

FRESH_S: Final = 30.0
NOTHING_FRESH_S: Final = 1.0  # where nothing was learned yet
WAIT_S: Final = 0.25
KNOWN_MAX: Final = 20_000  # x ~1 kB = 20 MB
READING_MAX: Final = 4  # at a time; a reading takes 1 ms of this process, about
WAITING_MAX: Final = 256  # readings begun for questions of many: WAIT_S of this process, about

_SQL: Final = load("sizing")
_CIRCLES: Final = (SizedBy.ACCOUNT, SizedBy.ATTRIBUTES, SizedBy.PRODUCT)


class Wanted(NamedTuple):
    """Whose usage, of what: what is remembered is remembered by this."""

    tenant: int
    rule: SizingRule
    values: tuple[str, ...]
    account: int


class Known(NamedTuple):
    """What was learned when it was read, for each quantity of the rule."""

    sizes: tuple[Sized, ...]
    read_at: float


class Learned:
    """What was learned of a database's usage."""

    def __init__(self, pool: Pool | None, fresh_s: float = FRESH_S) -> None:
        """`pool` None: there are no read models, so nothing is ever learned."""
        self._pool = pool
        self._fresh_s = fresh_s
        self._known: OrderedDict[Wanted, Known] = OrderedDict()
        self._underway: dict[Wanted, asyncio.Task[tuple[Sized, ...]]] = {}
        self._turns = asyncio.Semaphore(READING_MAX)

    async def sizes(
        self,
        tenant: int,
        rule: SizingRule,
        attributes: Mapping[str, str],
        account: int,
        now_us: int,
    ) -> tuple[Sized, ...]:
        """What was learned of each quantity of a rule, in its order."""
        wanted = wanted_of(tenant, rule, attributes, account)
        known = self._known.get(wanted)
        if known is None:
            reading = self._read_again(wanted, now_us)
            if reading is None:
                return nothing_of(rule)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(reading), WAIT_S)
            return nothing_of(rule)
        if self._is_old(known):
            self._read_again(wanted, now_us)
        self._known.move_to_end(wanted)
        return known.sizes

    async def sizes_of_many(
        self, wanted: Iterable[Wanted], now_us: int
    ) -> dict[Wanted, tuple[Sized, ...]]:
        """The same of many at once: what is not known yet is waited for together, and is as nothing
        learned where that takes longer than WAIT_S or too much is being read already."""
        found: dict[Wanted, tuple[Sized, ...]] = {}
        reading: dict[Wanted, asyncio.Task[tuple[Sized, ...]]] = {}
        for each in wanted:
            known = self._known.get(each)
            found[each] = known.sizes if known is not None else nothing_of(each.rule)
            if known is not None:
                self._known.move_to_end(each)
            if known is not None and not self._is_old(known):
                continue
            if each not in self._underway and len(self._underway) >= WAITING_MAX:
                continue
            task = self._read_again(each, now_us)
            if task is not None and known is None:
                reading[each] = task
        if reading:
            await asyncio.wait(reading.values(), timeout=WAIT_S)
            for each, task in reading.items():
                if task.done() and not task.cancelled():
                    found[each] = task.result()
        return found

    def _is_old(self, known: Known) -> bool:
        learned = any(each.by != SizedBy.NONE for each in known.sizes)
        fresh_s = self._fresh_s if learned else NOTHING_FRESH_S
        return asyncio.get_running_loop().time() - known.read_at > fresh_s

    async def close(self) -> None:
        """Give up what is being read."""
        underway = list(self._underway.values())
        for task in underway:
            task.cancel()
        await asyncio.gather(*underway, return_exceptions=True)

    def _read_again(self, wanted: Wanted, now_us: int) -> asyncio.Task[tuple[Sized, ...]] | None:
        if self._pool is None:
            return None
        task = self._underway.get(wanted)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(self._pool, wanted, now_us))
            self._underway[wanted] = task
            task.add_done_callback(lambda _: self._underway.pop(wanted, None))
        return task

    async def _read(self, pool: Pool, wanted: Wanted, now_us: int) -> tuple[Sized, ...]:
        """Never fails but by being cancelled: what cannot be read is as nothing learned, or as it
        was known before."""
        # 18 MB and a moment, which only those with rules pay; not on the loop.
        sketches = await asyncio.to_thread(import_module, "ledger.sizing.sketches")
        rule = wanted.rule
        fortnight = fortnight_of(now_us)
        async with self._turns:
            try:
                async with borrow(pool) as connection:
                    rows = await connection.fetch(
                        _SQL["learned"], wanted.tenant, rule.product, list(rule.attributes),
                        list(rule.quantities), fortnight - 1, fortnight, wanted.account,
                        list(wanted.values),
                    )  # fmt: skip
            except JournalUnavailable:
                known = self._known.get(wanted)
                sizes = known.sizes if known is not None else nothing_of(rule)
            else:
                streams: dict[tuple[int, tuple[str, ...], str], list[tuple[int, bytes]]] = {}
                for row in rows:
                    place = (row["account"], tuple(row["attr_values"]), row["quantity"])
                    streams.setdefault(place, []).append((row["observations"], row["sketch"]))
                circles = ((wanted.account, wanted.values), (0, wanted.values), (0, ()))
                sizes = tuple(
                    [
                        _sized(
                            sketches.merged,
                            rule,
                            each,
                            [streams.get((*c, each), []) for c in circles],
                        )
                        for each in rule.quantities
                    ]
                )
        self._known[wanted] = Known(sizes, asyncio.get_running_loop().time())
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return sizes


def wanted_of(tenant: int, rule: SizingRule, attributes: Mapping[str, str], account: int) -> Wanted:
    """By what it is remembered what a rule learned for work with these attributes."""
    return Wanted(tenant, rule, values_of(attributes, rule.attributes), account)


def nothing_of(rule: SizingRule) -> tuple[Sized, ...]:
    """As long as too little was seen."""
    return tuple([Sized(each, SizedBy.NONE, rule.permille, 0, 0) for each in rule.quantities])


def _sized(
    merged: Callable[[Iterable[bytes]], Sketch],
    rule: SizingRule,
    quantity: str,
    circles: list[list[tuple[int, bytes]]],
) -> Sized:
    """By the narrowest circle of which enough was seen. Without attributes the second and the third
    are the same streams."""
    for by, parts in zip(_CIRCLES, circles, strict=True):
        seen = sum([observations for observations, _ in parts])
        if seen >= rule.observations_min:
            value = merged([sketch for _, sketch in parts]).quantile(rule.permille)
            by = SizedBy.PRODUCT if by == SizedBy.ATTRIBUTES and not rule.attributes else by
            return Sized(quantity, by, rule.permille, seen, value)
    return Sized(quantity, SizedBy.NONE, rule.permille, 0, 0)
