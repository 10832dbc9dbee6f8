"""Accounts: families, policies, closing (rules D4, I5, N6, T2)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case


@ledger_case
def test_an_account_exists_once(case: LedgerCase) -> None:
    """
    account acme  id=a
    account acme  id=a  -> replayed: done
    account acme        -> refused ACCOUNT_EXISTS account
    account acme  id=a overdraft=5 -> refused CONFLICT policy
    """


@ledger_case
def test_a_family_is_sixteen_deep(case: LedgerCase) -> None:
    """
    account a1
    account a2  parent=a1
    account a3  parent=a2
    account a4  parent=a3
    account a5  parent=a4
    account a6  parent=a5
    account a7  parent=a6
    account a8  parent=a7
    account a9  parent=a8
    account a10 parent=a9
    account a11 parent=a10
    account a12 parent=a11
    account a13 parent=a12
    account a14 parent=a13
    account a15 parent=a14
    account a16 parent=a15
    account a17 parent=a16  -> refused DEPTH_EXCEEDED parent
    """


@ledger_case
def test_a_policy_is_replaced_by_version(case: LedgerCase) -> None:
    """
    account acme
    policy  acme  overdraft=5  version=1  id=p
    policy  acme  overdraft=5  version=1  id=p  -> replayed: done
    policy  acme  overdraft=6  version=1  id=p  -> refused CONFLICT policy
    policy  acme  overdraft=9  version=1        -> refused VERSION_MISMATCH expected_version
    policy  acme  overdraft=9  version=2
    policy  acme  overdraft=3
    expect  available acme  3
    """


@ledger_case
def test_an_account_closes_at_zero_only(case: LedgerCase) -> None:
    """
    account acme
    account acme/a  parent=acme  overage=self
    close   acme            -> refused ACCOUNT_NOT_EMPTY account
    grant   acme/a  5
    close   acme/a          -> refused ACCOUNT_NOT_EMPTY account
    usage   acme/a  7       -> drawn 5 from acme/a, overage 2 on acme/a
    close   acme/a          -> refused ACCOUNT_NOT_EMPTY account
    account acme/b  parent=acme
    usage   acme/b  1       -> owed 1; 1 over the limit
    close   acme/b          -> refused ACCOUNT_NOT_EMPTY account
    grant   acme/b  1       -> issued, repaid 1
    close   acme/b
    close   acme/b          -> refused ACCOUNT_CLOSED account
    grant   acme/b  1  as=x -> refused ACCOUNT_CLOSED account
    policy  acme/b          -> refused ACCOUNT_CLOSED account
    hold    acme/b  1  as=h -> refused ACCOUNT_CLOSED account
    account acme/b/c  parent=acme/b -> refused ACCOUNT_CLOSED account
    """
