"""What verify says of credit leases: each rule broken once in a journal that is otherwise in order;
and that their entries are read as the commands that they answered (rules H1, H7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_world import Core, SandboxCore
from lease_case import LeaseCase
from msgspec.structs import replace
from replaying import counters, replayed, totals
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.books import BooksUnbalanced
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules

STORY = """
account  acme
grant    acme 100 as=g1 paid=50
grant    acme 60 as=g2
budget   acme/all 500
lease    acme 40 as=a min=10 by=one
lease    acme 50 as=b by=two term=5s charge with=region:eu
spend    a 30 id=u
spend    a 15
renew    a 60
recall   a 20
renew    a 60 keep=20
spend    b 20 with=region:eu,user:ann
clock    +7s
sweep
clock    +66s
sweep
spend    a 12
spend    a 15
giveback b off
lease    acme 30 as=c
giveback c
"""


def lived() -> LeaseCase:
    case = LeaseCase()
    case.run(STORY)
    return case


def test_the_story_breaks_no_rule() -> None:
    """So whatever is found below was broken there."""
    case = lived()
    case.finish()
    kinds = {type(event) for _, batch in case.core.batches for event in batch}
    assert kinds >= {
        e.LeaseGranted, e.LeaseRenewed, e.UsageLeased, e.LeaseReturned, e.LeaseLapsed,
        e.LeaseOverdue, e.LeaseRecalled,
    }  # fmt: skip


def test_unchanged_prices_make_the_journals_own_entries() -> None:
    """Each entry of a lease is read as the command that it answered, or as what time did."""
    core = lived().core
    replay = replayed(core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


def test_on_a_sandbox_clock() -> None:
    """Rule T4: leases lapse as the tenant's clock is moved."""
    case = LeaseCase(SandboxCore())
    case.run(
        """
        account  acme
        grant    acme 100
        lease    acme 60 as=l term=60s
        lease    acme 30 as=m term=60s charge
        clock    +66s
        sweep                         -> lapsed 60; overdue 30
        spend    l 10                 -> late, drawn 10 from acme
        spend    m 10                 -> drawn 10 from acme
        """
    )
    state = case.core.state
    assert digest(state)
    assert judged(case.core) == []


def _slice(event: Any, **fields: Any) -> Any:
    return replace(event, slices=(replace(event.slices[0], **fields), *event.slices[1:]))


def late(event: Any) -> bool:
    return bool(event.late)


def over(event: Any) -> bool:
    return bool(event.over and not event.late)


def any_of(event: Any) -> bool:
    return True


BROKEN: list[tuple[type, Callable[[Any], bool], Callable[[Any], Any], str]] = [
    (e.LeaseGranted, any_of, lambda x: replace(x, hold=x.hold + 1), "number of the lease"),
    (e.LeaseGranted, any_of, lambda x: replace(x, holder=""), "holder of the lease"),
    (e.LeaseGranted, any_of, lambda x: replace(x, wanted=39), "units in escrow"),
    (e.LeaseGranted, any_of, lambda x: replace(x, share=39), "units in escrow"),
    (e.LeaseGranted, any_of, lambda x: replace(x, minimum=41), "units in escrow"),
    (e.LeaseGranted, any_of, lambda x: replace(x, margin=1), "margin of the lease"),
    (e.LeaseGranted, any_of, lambda x: replace(x, lifetime_max=1), "term of the lease"),
    (e.LeaseGranted, any_of, lambda x: replace(x, expires_at=x.expires_at + 1), "when the lease"),
    (e.LeaseGranted, any_of, lambda x: replace(x, quantities=(1,)), "units of the lease"),
    (e.LeaseGranted, any_of, lambda x: replace(x, policy_version=9), "version of the policy"),
    (e.LeaseRenewed, any_of, lambda x: replace(x, amount=x.amount + 1), "units in escrow"),
    (e.LeaseRenewed, any_of, lambda x: replace(x, wanted=1, keep=0), "units of lease"),
    (e.LeaseRenewed, any_of, lambda x: replace(x, given_back=()), "slices given back of"),
    (e.LeaseRenewed, any_of, lambda x: replace(x, margin=1), "margin of the lease"),
    (e.LeaseRenewed, any_of, lambda x: _slice(x, amount=x.slices[0].amount + 90), "in escrow of"),
    (e.LeaseRecalled, any_of, lambda x: replace(x, keep=-1), "units that a lease comes down to"),
    (e.UsageLeased, over, lambda x: replace(x, over=x.over - 1), "over the lease"),
    (e.UsageLeased, late, lambda x: replace(x, over=x.over + 1), "over the lease"),
    (e.UsageLeased, over, lambda x: replace(x, counted_at=1), "when it counts"),
    (e.LeaseLapsed, any_of, lambda x: replace(x, unreported=1), "unreported of lease"),
    (e.LeaseOverdue, any_of, lambda x: replace(x, unreported=1), "unreported of lease"),
    (e.LeaseOverdue, any_of, lambda x: e.LeaseLapsed(x.account, x.hold, x.unreported), "goes back"),
    (e.LeaseReturned, any_of, lambda x: replace(x, written_off=0), "whether it is written off"),
    (e.LeaseReturned, any_of, lambda x: e.HoldReleased(x.key, x.account, x.hold), "is a lease"),
]


@pytest.mark.parametrize(("kind", "which", "broken", "what"), BROKEN)
def test_each_rule_broken_once(
    kind: type, which: Callable[[Any], bool], broken: Callable[[Any], Any], what: str
) -> None:
    core = lived().core
    for _, batch in core.batches:
        for index, event in enumerate(batch):
            if type(event) is kind and which(event):
                batch[index] = broken(event)
                assert any(what in found for found in found_in(core)), found_in(core)
                return
    raise AssertionError(f"no {kind.__name__} in the story")


def found_in(core: Core) -> list[str]:
    """What is found, up to where the rest fits no more."""
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            try:
                rules.before(state, event)
                evolve(state, event)
            except (KeyError, AssertionError, IndexError, ValueError, BooksUnbalanced):
                return [finding.what for finding in findings.found]
    return [finding.what for finding in findings.found]
