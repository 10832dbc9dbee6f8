"""Input that makes no sense, said in the domain's words: a stable reason, and nothing changes.

The same list over gRPC: `tests/api/test_bad_decisions.py`. What each reason needs to be caused:
`test_refusals.py`.
"""

from __future__ import annotations

import pytest
from core_world import FAMILY, TENANT
from ledger_case import LedgerCase

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason, Refusal

WORLD = """
    account acme
    account other
    grant   acme 100 as=G paid=50 id=taken
    grant   acme 10 as=VOID
    void    VOID
    grant   acme 10 as=REFUNDED paid=5
    refund  REFUNDED
    commit  acme now..+40d:10/10 as=C prepaid
    commit  acme now..+40d:10/10 as=ENDED
    terminate ENDED
    rule    acme below=1 target=5
    hold    acme 5 as=open lifetime=20h
    hold    acme 5 as=released
    release released
    hold    acme 5 as=captured
    capture captured 5
    usage   acme 10 id=u
    usage   acme 10 id=w
    reverse w id=r
    usage   other 10 id=o
"""

CASES = {
    "a key with another amount": ("grant acme 101 paid=50 id=taken", "CONFLICT amount"),
    "a key of another kind of call": ("void G id=taken", "CONFLICT request"),
    "an id with another amount": ("usage acme 11 id=u", "CONFLICT quantities"),
    "expiry before effective": (
        "grant acme 1 effective=+2d expires=+1d",
        "EXPIRY_INVALID expires_at_us",
    ),
    "expiry as it takes effect": (
        "grant acme 1 effective=+1d expires=+1d",
        "EXPIRY_INVALID expires_at_us",
    ),
    "expiry that has passed": ("grant acme 1 expires=-1s", "EXPIRY_INVALID expires_at_us"),
    "expiry now": ("grant acme 1 expires=+0s", "EXPIRY_INVALID expires_at_us"),
    "overlapping segments": (
        "commit acme now..+9d:5/5 +8d..+20d:5/5 as=X",
        "SEGMENTS_OVERLAP segments[1].starts_at_us",
    ),
    "a segment that ends before it starts": (
        "commit acme +9d..+8d:5/5 as=X",
        "SEGMENT_INVALID segments[0].ends_at_us",
    ),
    "invoices out of order": (
        "commit acme now..+9d:5/5 as=X invoices=1@+5d,1@+4d",
        "INVOICES_INVALID invoices[1].at_us",
    ),
    "a target below its threshold": (
        "rule acme below=10 target=9",
        "TOP_UP_RULE_INVALID rule.target",
    ),
    "a target and an amount": (
        "rule acme below=1 target=9 amount=2",
        "TOP_UP_RULE_INVALID rule.amount",
    ),
    "a fraction above 1": (
        "grant acme 1 expires=+1d rolls=3/2",
        "ROLLOVER_INVALID rollover.fraction",
    ),
    "a fraction below 0": (
        "grant acme 1 expires=+1d rolls=-1/2",
        "ROLLOVER_INVALID rollover.fraction",
    ),
    "a fraction of nothing": (
        "grant acme 1 expires=+1d rolls=0/0",
        "ROLLOVER_INVALID rollover.fraction",
    ),
    "a rollover without an expiry": ("grant acme 1 rolls=1/2", "ROLLOVER_INVALID rollover"),
    "a capture of a released hold": ("capture released 1", "HOLD_SETTLED hold_id"),
    "a second capture": ("capture captured 1", "HOLD_SETTLED hold_id"),
    "a second release": ("release released", "HOLD_SETTLED hold_id"),
    "an extension of a released hold": ("extend released", "HOLD_SETTLED hold_id"),
    "a second void": ("void VOID", "GRANT_SETTLED grant_id"),
    "a refund of a void grant": ("refund VOID", "GRANT_SETTLED grant_id"),
    "a second refund": ("refund REFUNDED", "REFUND_TOO_LARGE units"),
    "a refund of more than is left": ("refund G 101", "REFUND_TOO_LARGE units"),
    "a refund of what was not paid": ("refund C.1", "NOT_PAID grant_id"),
    "a chargeback of what was not paid": ("chargeback C.1", "NOT_PAID grant_id"),
    "a chargeback of what was refunded": ("chargeback REFUNDED", "NOT_PAID grant_id"),
    "a second end": ("terminate ENDED waive", "COMMITMENT_ENDED commitment_id"),
    "a debit of a grant with nothing left": (
        "adjust acme -1 grant=REFUNDED",
        "INSUFFICIENT_CREDITS amount",
    ),
    "a credit of what was not drawn": (
        "adjust acme 1 grant=REFUNDED",
        "CORRECTION_TOO_LARGE amount",
    ),
    "a reversal of a reversal": ("reverse r", "NOT_REVERSIBLE entry"),
    "a reversal of more than the event": ("reverse u 11", "CORRECTION_TOO_LARGE quantities"),
    "a reversal of more than the charge": (
        "reverse u charged=11",
        "CORRECTION_TOO_LARGE as_charged",
    ),
    "a reversal of what was reversed": ("reverse w", "CORRECTION_TOO_LARGE quantities"),
    "a payment of what was not billed": ("pay acme 1", "AMOUNT_EXCEEDS_OWED amount"),
    "a capture before the window": (
        "capture open 1 at=-36d",
        "TOO_OLD effective_at_us",
    ),
    "usage ahead of the clock": ("usage acme 1 at=+1h", "IN_FUTURE effective_at_us"),
    "a charge beyond 64 bits": ("usage acme 4 of=huge", "OVERFLOW quantities"),
    "an estimate beyond 64 bits": ("hold acme 4 of=huge as=X", "OVERFLOW quantities"),
    "a grant beyond 64 bits": (f"grant acme {INT64_MAX + 1}", "AMOUNT_INVALID amount"),
    "a price beyond 64 bits": (f"grant acme 1 paid={INT64_MAX + 1}", "AMOUNT_INVALID price_paid"),
    "an adjustment beyond 64 bits": (f"adjust acme {-INT64_MAX - 1}", "AMOUNT_INVALID amount"),
    "a segment beyond 64 bits": (
        f"commit acme now..+9d:{INT64_MAX + 1}/5 as=X",
        "AMOUNT_INVALID segments[0].amount",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_name_and_nothing_changes(name: str) -> None:
    statement, reason = CASES[name]
    case = LedgerCase()
    case.run(WORLD)
    case.core.begin_batch()
    before = digest(case.core.state)
    case.run(f"{statement} -> refused {reason}")
    assert case.core.batches[-1][1] == []
    assert digest(case.core.state) == before
    case.finish()


@pytest.mark.parametrize("parent", [7, 8])
def test_no_account_stands_above_itself(parent: int) -> None:
    """A parent must be there before its child, and never changes: so no ring can be made."""
    case = LedgerCase()
    case.run(WORLD)
    before = digest(case.core.state)
    for number, above in ((7, parent), (8, 7)):
        command = c.CreateAccount(
            FAMILY.request(f"ring {number}"), TENANT, number, above, 7, e.AccountPolicy()
        )
        refused = case.core.run(command)
        assert isinstance(refused, Refusal)
        assert (refused.reason, refused.field) == (Reason.PARENT_UNKNOWN, "parent")
    assert digest(case.core.state) == before


def test_a_closed_period_takes_no_more() -> None:
    """Rule T2: what is late for its period counts in the open one and says so, and a closed
    account's period takes nothing at all once its grace is over."""
    case = LedgerCase()
    case.run("""
    account acme overage=self cap=10
    clock   2026-02-01
    usage   acme 4 at=2026-01-31   -> overage 4 on acme
    clock   2026-02-03
    usage   acme 4 at=2026-01-31   -> overage 4 on acme; adjustment
    usage   acme 7                 -> overage 6 on acme, owed 1; 1 over the limit
    bill    acme                   -> 14 overage
    adjust  acme 1 as=back         -> issued; credited
    close   acme write-off
    clock   2026-02-03T12:00
    usage   acme 1 at=2026-02-02   -> owed 1; 1 over the limit
    clock   2026-02-06
    usage   acme 1 at=2026-02-02   -> refused ACCOUNT_CLOSED account
    """)
    case.finish()
