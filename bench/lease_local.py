"""Decisions per second of a credit lease that this process holds: the client's hot path alone.

``decisions_per_s``: work whose amount is given, each a ``try_spend`` with its look at the clock.
``recorded_per_s``: the same with the usage event recorded for the next report. ``priced_per_s``:
the event priced here first, by a pinned version of the public price map. No server: the slice is
handed to the lease's core as an answer would, and what is recorded is taken as a report would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from bench.sizes import FULL
from ledger.client import DrawdownClient, LeaseTerms, LocalPrices, UsageEvent
from ledger.client.lease_clock import passed_us
from ledger.client.lease_core import AcquireRequest, ReportRequest
from ledger.client.leases import HeldLease
from ledger.core.limits import HOUR_US
from rating.data import price_map
from rating.llm_prices import import_price_map

PRODUCT = "gpt-4o"
ROUNDS = 15
SLICE = 1 << 60


async def held() -> HeldLease:
    """A lease of a large slice, for hours, that prices by the public price map."""
    card, _ = import_price_map(price_map())
    client = DrawdownClient("127.0.0.1:1", source="bench")
    terms = LeaseTerms(wanted=SLICE, term_us=24 * HOUR_US, batch_events=8_192)
    lease = client.hold_lease("acme", PRODUCT, terms, prices=LocalPrices(card, 1))
    core = lease.core
    now_us = passed_us()
    asked = core.next_request(now_us)
    assert isinstance(asked, AcquireRequest)
    core.acquired(asked.number, "lease", SLICE, 24 * HOUR_US, 30_000_000, now_us)
    await client.close()
    return lease


def amounts(count: int) -> list[int]:
    """What pieces of work cost: 1 to 5,000 units."""
    return [1 + index * 7_919 % 5_000 for index in range(count)]


def events(count: int) -> list[UsageEvent]:
    """Usage of distinct ids: prompts to 8,000 tokens, answers to 1,000."""
    made = []
    for index in range(count):
        prompt, answer = 200 + index * 7_919 % 7_800, 1 + index * 104_729 % 1_000
        quantities = {"input_tokens": prompt, "output_tokens": answer}
        made.append(UsageEvent(f"event-{index}", "", quantities))
    return made


def _report_all(lease: HeldLease) -> None:
    """Take what was recorded as the server would, and have as much in escrow as before."""
    core = lease.core
    later_us = passed_us() + HOUR_US
    while core.waiting:
        later_us += core.terms.report_every_us
        request = core.next_request(later_us)
        assert isinstance(request, ReportRequest)
        core.reported(request.number, SLICE, SLICE, (), True)


def _per_s(lease: HeldLease, decide: Callable[[], None], count: int) -> int:
    """Median of the rounds, of so many decisions each."""
    took_ns = []
    for number in range(ROUNDS + 1):
        began = perf_counter_ns()
        decide()
        if number:
            took_ns.append(perf_counter_ns() - began)
        _report_all(lease)
    took_ns.sort()
    return count * 1_000_000_000 // took_ns[ROUNDS // 2]


def measured(count: int) -> dict[str, int]:
    """The three figures, of rounds of so many decisions."""
    lease = asyncio.run(held())
    costs, used = amounts(count), events(count)

    def given() -> None:
        spend = lease.try_spend
        for amount in costs:
            assert spend(amount)

    def recorded() -> None:
        spend = lease.spend
        for amount, event in zip(costs, used, strict=True):
            assert spend(amount, event)

    def priced() -> None:
        spend = lease.spend_priced
        for event in used:
            assert spend(event)

    return {
        "decisions_per_s": _per_s(lease, given, count),
        "recorded_per_s": _per_s(lease, recorded, count),
        "priced_per_s": _per_s(lease, priced, count),
    }


if __name__ == "__main__":
    for name, figure in measured(FULL.lease_decisions).items():
        print(f"{name:<16} {figure:>12,}")
