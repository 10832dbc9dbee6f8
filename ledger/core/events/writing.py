"""A writer's own entries, and what it says once a batch."""

from __future__ import annotations

from typing import ClassVar

from ledger.core.events.base import BookKind, Fact
from rating.overrides import NumberedOverride


class WriterOpened(Fact, frozen=True, tag=1):
    """A writer took the shard over at tail + 1; its epoch counts the openings."""

    account: ClassVar[int] = 0  # of none
    epoch: int
    last_batch_seq: int
    last_hash: bytes
    recorded_by: str = ""


class ConfigurationApplied(Fact, frozen=True, tag=2):
    """The shard imported a version of the tenant's configuration; its body is a blob by hash."""

    account: ClassVar[int] = 0  # of none
    tenant: int
    version: int
    content_hash: bytes


class ClockAdvanced(Fact, frozen=True, tag=80):
    """The clock of a sandbox tenant is `offset` microseconds ahead of the writer's from now on, in
    total; it never falls (rule T4). Follows the configuration that says so."""

    account: ClassVar[int] = 0  # of none
    tenant: int
    offset: int


class TimeShifted(Fact, frozen=True, tag=81):
    """The entries after this one, to the next such or the end of the batch, are recorded at the
    batch's time + `offset`: that of the tenant that they are of (rules T4, T5)."""

    account: ClassVar[int] = 0  # of none
    offset: int


class BookOpened(Fact, frozen=True, tag=3):
    """A book account came into being. `owner` is an account or grant, `name` a product."""

    account: ClassVar[int] = 0  # of none
    book: int
    tenant: int
    kind: BookKind
    asset: int
    owner: int = 0
    name: str = ""


class PlanDeclared(Fact, frozen=True, tag=30, eq=False):
    """How the usage events after it in the same batch were described and priced, said once.

    `rows` are price rows parallel to `quantity_names`: card version << 20 | row, -1 = unpriced.
    A usage event names its plan by this entry's index in the batch. Compared by identity.
    """

    account: ClassVar[int] = 0  # of none
    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity_names: tuple[str, ...]
    rate_card: str
    card_version: int
    rows: tuple[int, ...]
    asset: int

    @property
    def overrides(self) -> tuple[NumberedOverride | None, ...]:
        """What priced each quantity over its row, or where no row did; empty where nothing did."""
        return ()


class PlanOverridden(PlanDeclared, frozen=True, tag=56, eq=False):
    """The same where price overrides apply (rule R4): `overrides` are parallel to the quantities.
    What one prices where no row matched has a row below -1: -1 - its number.
    """

    overrides: tuple[NumberedOverride | None, ...] = ()


class RequestAbandoned(Fact, frozen=True, tag=50):
    """A tombstone: this request id will never be applied (rule I5)."""

    key: bytes
    account: int
