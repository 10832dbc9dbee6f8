"""How large a measurement is: the full one of the contract, a quick one, and the smoke test's.

The workloads are the same in all three; only counts and durations differ.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ledger.engine.upkeep import Upkeep


class Sizes(Struct, frozen=True, kw_only=True):
    """Counts, and durations in milliseconds."""

    name: str
    rounds: int
    families: int
    family_accounts: int
    template_batches: int  # serialised ahead; a run takes them again under new ids
    batch_events: int
    ingest_ms: int
    ingest_distinct: int  # a run lasts until both are reached
    ingest_warmup_ms: int
    unary_ms: int
    unary_warmup_ms: int
    history_events: int  # of the past, in the workload `history`
    history_distinct: int  # a run's: enough for a checkpoint of every shard in it
    history_upkeep: Upkeep
    card_rows: tuple[int, int]  # of the cards in the workload `price_change`
    children: int = 1_000  # of the parent in the workload `family_shared`
    children_compared: tuple[int, int] = (100, 10_000)  # of a small one and a large one beside it
    lease_decisions: int = 100_000  # a round of the workload `lease_local`
    gateway_pairs: int = 5  # short runs of the empty service and of ours, compared pair by pair
    priced_ms: int = 1_000  # of usage before and after each card of the workload `price_change`
    anew_max: int = 1_000  # how often a ledger is put back before a step that wants it new
    in_flight: int = 8
    unary_callers: int = 64
    prepared_calls: int = (
        60_000  # messages of single calls that have their ids before the clock runs
    )
    postgres_connections: int = 16

    @property
    def accounts(self) -> int:
        """Accounts in all."""
        return self.families * self.family_accounts


FULL: Final = Sizes(
    name="full",
    rounds=3,
    families=1_000,
    family_accounts=10,
    template_batches=500,
    batch_events=1_000,
    ingest_ms=15_000,
    ingest_distinct=1_000_000,
    ingest_warmup_ms=2_000,
    unary_ms=8_000,
    unary_warmup_ms=1_000,
    history_events=10_000_000,
    history_distinct=2_400_000,
    history_upkeep=Upkeep(),
    card_rows=(3_000, 65_536),
)

QUICK: Final = Sizes(
    name="quick",
    rounds=1,
    families=1_000,
    family_accounts=10,
    template_batches=100,
    batch_events=1_000,
    ingest_ms=4_000,
    ingest_distinct=100_000,
    ingest_warmup_ms=1_000,
    unary_ms=2_000,
    unary_warmup_ms=500,
    history_events=200_000,
    history_distinct=200_000,
    history_upkeep=Upkeep(checkpoint_entries=20_000),
    card_rows=(3_000, 65_536),
)

TINY: Final = Sizes(
    name="tiny",
    rounds=1,
    families=5,
    family_accounts=10,
    template_batches=100,
    batch_events=100,
    ingest_ms=100,
    ingest_distinct=500,
    ingest_warmup_ms=30,
    unary_ms=100,
    unary_warmup_ms=30,
    history_events=5_000,
    history_distinct=2_000,
    history_upkeep=Upkeep(checkpoint_entries=200),
    card_rows=(30, 300),
    children=20,
    children_compared=(10, 40),
    lease_decisions=1_000,
    gateway_pairs=1,
    priced_ms=100,
    anew_max=1,
    prepared_calls=2_000,
)

BY_NAME: Final = {sizes.name: sizes for sizes in (FULL, QUICK, TINY)}
