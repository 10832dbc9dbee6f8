"""Leases of operations: one hard budget caps a user action, what is leased of it too (H4, H7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from core_world import FAMILY
from lease_case import LeaseCase
from ledger_case import told_to
from msgspec.structs import replace
from operation_case import OperationCase
from replaying import counters, replayed, totals
from test_lease_rules import found_in
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.repeats import first_difference
from ledger.core.upcast import UPCASTS, UsageLeased1


class LeasedCase(LeaseCase, OperationCase):
    """Tells stories of leases and of operations."""


def leased_case(test: Callable[[LeasedCase], None]) -> Callable[[], None]:
    """As `ledger_case`, for ledgers with leases of operations."""
    return told_to(LeasedCase, test)  # type: ignore[arg-type]


@leased_case
def test_a_lease_counts_in_full_in_the_budget_of_its_operation(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    cap      acme/run 100
    lease    acme 60 as=l in=run      -> leased 60 from acme
    expect   pends ~run 60
    debit    acme 41 in=run           -> denied by its operation, 40 left
    debit    acme 40 in=run
    hold     acme 1 in=run            -> denied by its operation, 0 left
    spend    l 25                     -> drawn 25 from acme
    expect   spent ~run 65
    expect   pends ~run 35
    giveback l                        -> returned
    expect   pends ~run 0
    debit    acme 36 in=run           -> denied by its operation, 35 left
    debit    acme 35 in=run
    """


@leased_case
def test_no_more_is_leased_than_the_operation_has_left(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    cap      acme/run 100
    debit    acme 70 in=run
    lease    acme 60 as=a in=run      -> leased 30 from acme
    lease    acme 60 as=b in=run min=5 -> leased nothing
    lease    acme 60 as=c in=other    -> leased 60 from acme
    expect   share a 30
    expect   share b 15
    renew    a 60                     -> leased 30 from acme, down to 15
    renew    a 60 keep=15             -> leased 15 from acme
    renew    b 60                     -> leased 15 from acme
    renew    c 90                     -> leased 90 from acme
    expect   pends ~run 30
    recall   a 5                      -> recalled to 5
    expect   down a 5
    renew    a 60 keep=0              -> leased 5 from acme
    renew    b 60                     -> leased 15 from acme
    expect   pends ~run 20
    giveback a                        -> returned
    renew    b 60                     -> leased 30 from acme
    """


@leased_case
def test_what_lapses_goes_back_to_the_operation(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    cap      acme/run 100
    lease    acme 60 as=l in=run term=10s
    spend    l 10
    clock    +12s
    sweep
    expect   pends ~run 0
    expect   spent ~run 10
    spend    l 20                     -> late, drawn 20 from acme
    expect   spent ~run 30
    lease    acme 90 as=m in=run term=10s charge -> leased 70 from acme
    clock    +12s
    sweep
    expect   pends ~run 70
    debit    acme 1 in=run            -> denied by its operation, 0 left
    spend    m 30                     -> drawn 30 from acme
    expect   spent ~run 60
    expect   pends ~run 40
    giveback m off                    -> written off
    expect   pends ~run 0
    """


@leased_case
def test_a_hard_policy_gives_the_operation_of_a_lease_its_budget(case: LeasedCase) -> None:
    """
    account  acme
    account  acme/team parent=acme
    grant    acme 1000 shared
    give     acme 50
    lease    acme/team 80 as=l                 -> refused LEASE_UNBOUNDED account
    lease    acme/team 80 as=l in=tool@run     -> leased 50 from acme; begun at 50; joined
    expect   pends ~run 50
    debit    acme/team 1 in=run                -> denied by its operation, 0 left by policy 1
    spend    l 10 in=deep@tool                 -> drawn 10 from acme; joined
    spend    l 10 in=deep@tool                 -> drawn 10 from acme
    spend    l 10 in=beside@run                -> refused OPERATION_DIFFERS operation
    expect   spent ~run 20
    renew    l 80                              -> leased 30 from acme
    giveback l                                 -> returned
    debit    acme/team 30 in=run
    """


@leased_case
def test_a_budget_that_units_do_not_bound_refuses_the_lease(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    cap      acme/run 5 of=requests
    cap      acme/soft 5 of=requests soft
    cap      acme/eu 50 where=region:eu
    lease    acme 10 as=l in=run                  -> refused LEASE_UNBOUNDED product
    lease    acme 10 as=l in=deep@run             -> refused LEASE_UNBOUNDED product
    lease    acme 10 as=l in=eu                   -> refused LEASE_UNBOUNDED attributes
    lease    acme 60 as=m in=eu with=region:eu    -> leased 50 from acme
    lease    acme 10 as=n in=soft                 -> leased 10 from acme
    lease    acme 10 as=o                         -> leased 10 from acme
    """


@leased_case
def test_reports_are_of_the_operation_or_of_what_is_below_it(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    cap      acme/run 100
    cap      acme/tool 5
    cap      acme/loose 5 soft
    lease    acme 60 as=l in=run
    spend    l 1 in=other                     -> refused OPERATION_DIFFERS operation
    spend    l 1 in=tool@run                  -> refused OPERATION_DIFFERS operation
    spend    l 6 in=loose@run                 -> drawn 6 from acme; joined
    spend    l 1 in=run                       -> drawn 1 from acme
    spend    l 1 in=search@run                -> drawn 1 from acme; joined
    spend    l 1 in=search                    -> drawn 1 from acme
    expect   spent ~run 9
    expect   spent ~loose 6
    expect   pends ~run 51
    """


@leased_case
def test_a_report_that_names_nothing_is_of_the_operation_and_comes_again(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 100
    cap      acme/run 100
    lease    acme 60 as=l in=run req=r          -> leased 60 from acme
    spend    l 10 id=e                          -> drawn 10 from acme
    expect   spent ~run 10
    reverse  e                                  -> 10 to acme
    expect   spent ~run 0
    """


@leased_case
def test_a_report_that_comes_again_names_the_operation_that_it_named(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    cap      acme/run 100
    lease    acme 60 as=l in=run
    lease    acme 60 as=m
    spend    l 1 in=tool@run id=a        -> drawn 1 from acme; joined
    spend    l 1 in=tool@run id=a        -> replayed: drawn 1 from acme
    spend    l 1 id=a                    -> refused CONFLICT operation
    spend    l 1 in=run id=a             -> refused CONFLICT operation
    spend    l 1 in=tool id=a            -> refused CONFLICT operation_parent
    spend    l 1 id=b                    -> drawn 1 from acme
    spend    l 1 id=b                    -> replayed: drawn 1 from acme
    spend    l 1 in=run id=b             -> replayed: drawn 1 from acme
    spend    l 1 in=tool id=b            -> refused CONFLICT operation
    spend    l 1 in=run id=c             -> drawn 1 from acme
    spend    l 1 id=c                    -> replayed: drawn 1 from acme
    spend    m 1 in=other id=d           -> drawn 1 from acme
    spend    m 1 id=d                    -> refused CONFLICT operation
    spend    m 1 id=e                    -> drawn 1 from acme
    spend    m 1 in=other id=e           -> refused CONFLICT operation
    clock    +67s
    sweep
    spend    l 1 in=far id=f             -> late, drawn 1 from acme
    spend    l 1 id=f                    -> refused CONFLICT operation
    """


def test_of_a_report_of_before_nobody_knows_what_it_named() -> None:
    """Whoever repeats an old one without an operation is told what was recorded."""
    plan = e.PlanDeclared("chat", (), ("tokens",), "", 0, (0,), 0)
    said: dict[str, Any] = {"key": b"k", "account": 1, "effective_at": 1, "plan": 0}
    said |= {"quantities": (1,), "charges": (1,), "used_book": 1, "slices": (), "period": 1}
    said |= {"effective_given": 0, "hold": 1, "operation": FAMILY.operation("tool")}
    old = UPCASTS[UsageLeased1](UsageLeased1(**said))
    shape = Catalog().shape("chat", (), ("tokens",))
    again = c.LeasedUsage(b"k", 1, shape, (1,), 0, c.NO_NAMES, hold=1)
    assert first_difference(again, old, plan) == ""
    assert first_difference(again, replace(old, apart=1), plan) == "operation"


@leased_case
def test_a_budget_that_is_younger_than_the_lease_bounds_its_renewal(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 1000
    lease    acme 50 as=l in=run
    lease    acme 50 as=m
    cap      acme/run 100
    renew    l 200                              -> leased 100 from acme
    expect   pends ~run 100
    budget   acme/all 240
    renew    m 200                              -> leased 120 from acme
    expect   pends acme/all 120
    renew    l 100                              -> leased 100 from acme
    expect   pends acme/all 220
    """


@leased_case
def test_a_policy_that_is_younger_than_the_lease_counts_from_its_renewal(case: LeasedCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 28 as=l in=deep@tool
    give     acme 50
    renew    l 90 keep=20                       -> leased 50 from acme; begun at 50; joined
    expect   pends ~tool 50
    lease    acme 9 as=m in=tool                -> leased nothing
    """


STORY = """
account  acme
grant    acme 1000
cap      acme/run 100
cap      acme/tool 500
lease    acme 60 as=l in=run
spend    l 10 in=deep@run
spend    l 10
renew    l 90
give     acme 40
lease    acme 80 as=m in=search@walk
spend    m 15
clock    +67s
sweep
spend    m 5
spend    l 5
"""


def lived() -> LeasedCase:
    case = LeasedCase()
    case.run(STORY)
    return case


def test_the_story_breaks_no_rule_and_is_read_as_its_commands() -> None:
    case = lived()
    assert judged(case.core) == []
    replay = replayed(case.core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(case.core.state)
    assert totals(replay.state) == totals(case.core.state)


BROKEN: list[tuple[type, Callable[[Any], Any], str]] = [
    (e.OperationLeaseGranted, lambda x: replace(x, operation=b"run"), "operation"),
    (
        e.OperationLeaseGranted,
        lambda x: e.LeaseGranted(*msgspec.structs.astuple(x)[:-1]),
        "in escrow in budget",
    ),
    (
        e.UsageLeased,
        lambda x: replace(x, operation=FAMILY.operation("other")),
        "operation of the lease",
    ),
    (e.UsageLeased, lambda x: replace(x, operation=b""), "operation of the lease"),
    (
        e.UsageLeased,
        lambda x: replace(x, operation=FAMILY.operation("tool", "run")),
        "operation of the lease",
    ),
    (e.UsageLeased, lambda x: replace(x, apart=1 - x.apart), "apart from the lease"),
]


@pytest.mark.parametrize(("kind", "broken", "what"), BROKEN)
def test_each_rule_broken_once(kind: type, broken: Callable[[Any], Any], what: str) -> None:
    core = lived().core
    for _, batch in core.batches:
        for index, event in enumerate(batch):
            if type(event) is kind:
                batch[index] = broken(event)
                assert any(what in found for found in found_in(core)), found_in(core)
                return
    raise AssertionError(f"no {kind.__name__} in the story")


def test_more_in_escrow_than_the_operation_has_left_is_found() -> None:
    """A renewal that adds to what pends there stays within the limit."""
    case = lived()
    for _, batch in case.core.batches:
        for index, event in enumerate(batch):
            if isinstance(event, e.OperationBudgetSet):
                lower = replace(event.terms, limit=75)
                batch[index] = replace(event, terms=lower)
                assert any("in escrow of budget" in found for found in found_in(case.core))
                return
