"""Contracts: signed, begun, amended, renewed, ended (rules P5, D7, D8, R4)."""

from __future__ import annotations

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.commitments import CommitmentEnding, CommitmentTerms, Invoice, Segment
from ledger.core.events.packages import OldGrants, TakenBack
from rating.overrides import NumberedOverride


class Committed(msgspec.Struct, frozen=True, array_like=True):
    """What a contract commits its account to for one term: a commitment as it is created (D7)."""

    terms: CommitmentTerms
    segments: tuple[Segment, ...]
    invoices: tuple[Invoice, ...] = ()


class ContractRollover(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of the commitments of a term rolls into the term that renews it: of the unheld rest of
    each segment that ends with the term this fraction, at most `cap` units of each (-1 = no cap),
    with its share of the price (rules T3, P5)."""

    numerator: int
    denominator: int
    cap: int = -1


class ContractSigned(Fact, frozen=True, tag=158):
    """A contract for [starts_at, ends_at): a version of a package, prices before all others (rule
    R4), and commitments, which stand just before. One that has begun by then follows at once.

    `minimum`: of a billing period, in the place of what the card says for contracts; 0 = as the
    card says (rule R2). `version_given` and `starts_given` are as they were asked for. `rollover`
    None = nothing rolls over.
    """

    key: bytes
    account: int
    contract: str  # its name, once in the account
    package: str
    version: int
    starts_at: int
    ends_at: int
    overrides: tuple[NumberedOverride, ...]
    auto_renew: int
    minimum: int
    committed: tuple[Committed, ...]
    commitments: tuple[int, ...]
    version_given: int
    starts_given: int
    rollover: ContractRollover | None = None
    trace: bytes = b""


class ContractBegun(Fact, frozen=True, tag=135):
    """A contract begins, once: the account has its package from here on. The subscription stands
    just before."""

    account: int
    contract: str
    at: int


class ContractAmended(Fact, frozen=True, tag=159):
    """What a contract says otherwise: each field that is set. `overrides` (None = as before) count
    for usage from `effective_at` on, and what was priced by then is for a re-rating job (rule R7):
    it says from when in `rerate_from`, 0 = nothing was. A `version` of the package counts from the
    next period on; `auto_renew`: 1 on, 2 off; `minimum` (-1 = as before) from `effective_at` on, in
    the place of what was said for later; `rollover` (None = as before, 0 of 1 = none) from now."""

    key: bytes
    account: int
    contract: str
    effective_at: int
    revision: int
    expected_version: int = 0
    overrides: tuple[NumberedOverride, ...] | None = None
    version: int = 0
    ends_at: int = 0
    auto_renew: int = 0
    committed: tuple[Committed, ...] = ()
    commitments: tuple[int, ...] = ()
    rerate_from: int = 0
    effective_given: int = 0
    minimum: int = -1
    rollover: ContractRollover | None = None
    trace: bytes = b""


class ContractRenewed(Fact, frozen=True, tag=137):
    """A contract goes on for another term as long as the last, by the writer's clock; its
    commitments are made anew, just before."""

    account: int
    contract: str
    starts_at: int
    ends_at: int
    committed: tuple[Committed, ...] = ()
    commitments: tuple[int, ...] = ()


class ContractEnded(Fact, frozen=True, tag=138):
    """A contract is over: by the writer's clock with its term (no key), or early. Then `ending`
    says what becomes of its commitments, whose ends stand just before (rule D7); `taken` is of the
    grants of the package's period, just before too (rule P3)."""

    key: bytes
    account: int
    contract: str
    ended_at: int
    ending: CommitmentEnding = CommitmentEnding.TRUE_UP
    old_grants: OldGrants = OldGrants.KEEP
    target: int = 0
    expected_version: int = 0
    taken: tuple[TakenBack, ...] = ()
    trace: bytes = b""
