"""A self-serve package that becomes an enterprise contract, with every balance kept (rule P5)."""

from __future__ import annotations

from contract_world import contract_case
from ledger_case import LedgerCase


@contract_case
def test_a_self_serve_package_becomes_an_enterprise_contract(case: LedgerCase) -> None:
    """
    # A trial, then a month of it; what is left of a top-up, of the month and of a hold goes on.
    plan       starter 100 trial=14:20 excess=absorb
    plan       enterprise 1000 overage=self
    account    acme
    subscribe  acme starter                     -> starter 20 to 2026-01-15; trial
    usage      acme 30                          -> drawn 20 from starter@2026-01-01, absorbed 10;
               10 over the limit
    clock      2026-01-20
    usage      acme 40 id=late                  -> starter 100 to 2026-02-15; own terms;
               starter@2026-01-01 expired 0;
               drawn 40 from starter@2026-01-15
    grant      acme 70 paid=70 as=top-up expires=2026-12-31 priority=9
    usage      acme 1 of=third                  -> free
    expect     available acme 130

    # 1000 a month and 500 committed for the year, at twice the price; nothing of before is lost.
    clock      2026-01-28
    hold       acme 10 as=job                   -> held 10 from starter@2026-01-15
    sign       acme deal enterprise until=2027-01-28 commit=now..2027-01-28:500/400 chat/*:x2
               -> signed; enterprise 1000 to 2026-02-28; begun
    expect     available acme 1620
    expect     left starter@2026-01-15 60
    expect     left top-up 70
    expect     held starter@2026-01-15 10
    usage      acme 1 of=third                  -> drawn 1 from starter@2026-01-15
    usage      acme 10                          -> drawn 20 from starter@2026-01-15
    capture    job 10                           -> drawn 20 from starter@2026-01-15
    usage      acme 5 at=2026-01-21             -> drawn 5 from starter@2026-01-15
    reverse    late                             -> 40 to starter@2026-01-15

    # As of the tenth the price is another; what was priced is for a job.
    clock      2026-02-20
    sweep                                       -> starter@2026-01-15 expired 54
    revise     acme deal chat/*:x3 from=2026-02-10   -> amended, rate again from 2026-02-10
    usage      acme 10 at=2026-02-05            -> drawn 20 from enterprise@2026-01-28
    usage      acme 10 at=2026-02-12            -> drawn 30 from enterprise@2026-01-28
    """


@contract_case
def test_it_is_renewed_and_left_early(case: LedgerCase) -> None:
    """
    plan       enterprise 100
    account    acme
    sign       acme deal enterprise until=2026-02-01 commit=now..2026-02-01:50/40 renews
               -> signed; enterprise 100 to 2026-02-01; begun
    usage      acme 120 -> drawn 100 from enterprise@2026-01-01, drawn 20 from deal.1
    clock      2026-02-01T01:00
    sweep      -> renewed to 2026-03-01; enterprise 100 to 2026-03-01
    usage      acme 110 -> drawn 100 from enterprise@2026-02-01, drawn 10 from deal+.1
    leave      acme deal waive -> ended, trued up 0 for 0; deal+.1 voided 40; ended
    usage      acme 1   -> owed 1; 1 over the limit
    """


@contract_case
def test_one_contract_after_the_other(case: LedgerCase) -> None:
    """
    plan       small 10
    plan       large 90 chat:2
    account    acme
    sign       acme first small until=2026-01-11           -> signed; small 3 to 2026-01-11; begun
    sign       acme beside small until=2026-03-01          -> refused CONTRACTS_OVERLAP contract
    sign       acme second large from=2026-01-11 until=2026-02-11 -> signed
    usage      acme 2   -> drawn 2 from small@2026-01-01
    clock      2026-01-11T12:00
    usage      acme 5   -> ended; large 90 to 2026-02-11; begun; drawn 10 from large@2026-01-11
    """
