"""Terms tried on what happened (row C8): extra grants, scaled grants, other limits."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from core_world import CREDITS, USD, Core
from ledger_case import LedgerCase
from replaying import counters, replayed, totals, walked
from test_backtest import assert_is_the_ledger, charge, core_of, tried

from ledger.backtest.figures import NotRepeated, Pair
from ledger.backtest.terms import GrantTerms, PolicyTerms, ScaleTerms, Terms
from ledger.core import events as e
from ledger.core.limits import DAY_US, HOUR_US

FREE = e.GrantKind.PROMOTIONAL


def extra(amount: int, **more: int) -> Terms:
    return Terms(
        grants=(
            GrantTerms(
                place="grants[0]",
                kind=FREE,
                asset=CREDITS,
                amount=amount,
                **more,  # type: ignore[arg-type]
            ),
        )
    )


def scaled(ratio: str, account: int = 0) -> Terms:
    numerator, denominator = Fraction(ratio).as_integer_ratio()
    terms = ScaleTerms(
        place="scale[0]",
        account=account,
        asset=CREDITS,
        numerator=numerator,
        denominator=denominator,
    )
    return Terms(scales=(terms,))


def limits(account: int = 0, **fields: int) -> Terms:
    return Terms(policies=(PolicyTerms(place="policies[0]", account=account, fields=fields),))


DENIED = """
    account acme
    account beta
    grant   acme 100 paid=50
    hold    acme 60 as=h1
    capture h1 60
    hold    acme 60 as=h2 -> denied INSUFFICIENT_CREDITS
    hold    beta 10 as=h3 -> denied INSUFFICIENT_CREDITS
"""


def test_a_grant_that_nobody_issued_pays_and_lets_in() -> None:
    """By hand: 20 more for everybody let in what lacked 20, and the 10 of the other account; the
    accounts of the range have it as they open. It is free, and pays where its turn is."""
    core = core_of(DENIED)
    replay = replayed(core, terms=extra(20))
    found = replay.close(10)
    assert (found.granted, found.allowed_now, found.denied_now) == (2, 2, 0)
    assert [(each.account, each.allowed) for each in found.denials] == [(1, 1), (2, 1)]
    assert found.not_tried == found.not_repeated == []
    found = replayed(core, terms=extra(20, account=2)).close(10)
    assert (found.granted, found.allowed_now) == (1, 1)
    # The free one first: only 40 of the 60 are earned.
    found = replayed(core, terms=extra(20, priority=-1)).close(10)
    assert [(each.old, each.new) for each in found.revenue] == [(30, 20)]


def test_an_extra_grant_comes_at_its_instant_and_expires_after_its_time() -> None:
    """It pays from there on, and not once it has expired; what is left of it is gone."""
    core = core_of("""
        account acme overdraft=1000
        usage   acme 10
        clock   +1d
        usage   acme 10
        clock   +1d
        usage   acme 10
        clock   +1d
        sweep
        usage   acme 10
    """)
    began = core.state.accounts[1].created_at
    terms = extra(25, at_us=began + DAY_US - HOUR_US, expires_after_us=2 * DAY_US, account=1)
    replay = replayed(core, terms=terms)
    (grant,) = replay.state.grants.values()
    # 10 repaid nothing, for free grants repay no advance; 20 of its time were paid, 5 are gone.
    assert (grant.drawn, grant.effective_at) == (20, began + DAY_US - HOUR_US)
    assert replay.state.accounts[1].advance[CREDITS].owed == 20
    assert replay.close(10).granted == 1


def test_a_range_that_begins_later_is_granted_at_its_start() -> None:
    core = core_of("""
        account acme overdraft=1000
        grant   acme 10
        clock   +1d
        usage   acme 10
        usage   acme 10
    """)
    first = len(core.batches) - 2
    replay = replayed(core, first=first, terms=extra(100, priority=-1))
    granted = [each for each in replay.state.grants.values() if each.amount == 100]
    assert [(each.drawn, each.effective_at) for each in granted] == [(20, core.batches[first][0])]


def test_grants_are_scaled_as_they_come_and_their_price_stays() -> None:
    """By hand: 101 times 3/2 are 151, rounded down; 50 paid for them earn 50 x 151 / 151."""
    core = core_of("""
        account acme
        account beta
        grant   acme 101 paid=50
        grant   beta 100 paid=100
        hold    acme 150 as=h1 -> denied INSUFFICIENT_CREDITS
        usage   acme 101
        usage   beta 50
    """)
    replay = replayed(core, terms=scaled("3/2"))
    found = replay.close(10)
    assert [each.amount for each in replay.state.grants.values()] == [151, 150]
    assert (found.scaled, found.allowed_now) == (2, 1)
    assert charge(found) == (151, 151)
    assert [(each.old, each.new) for each in found.revenue] == [(100, 50 * 101 // 151 + 33)]
    replay = replayed(core, terms=scaled("3/2", account=2))
    assert [each.amount for each in replay.state.grants.values()] == [101, 150]


def test_what_recurring_grants_issue_is_scaled() -> None:
    """Those that were there before the range, and those that start or change in it."""
    core = core_of("""
        account acme
        recurring acme 100 as=r every=1month
        clock   +31d
        sweep
        change  r 200
        clock   +31d
        sweep
        clock   +31d
        sweep
    """)
    whole = replayed(core, terms=scaled("1/2"))
    assert [each.amount for each in whole.state.grants.values()][:2] == [50, 50]
    assert [each.amount for each in whole.state.grants.values()][-1] == 100
    later = replayed(core, first=len(core.batches) - 2, terms=scaled("1/2"))
    assert [each.amount for each in later.state.grants.values()][-1] == 100


def test_a_grant_of_which_nothing_is_left_is_said() -> None:
    core = core_of("""
        account acme
        grant   acme 3
    """)
    replay = replayed(core, terms=scaled("1/4"))
    assert not replay.state.grants
    assert replay.close(10).not_tried == [NotRepeated("scale[0]", "ROUNDED_TO_NOTHING", 1)]


def test_a_grant_that_is_refused_is_said() -> None:
    core = core_of("""
        account acme
        clock   +1d
        usage   acme 1
    """)
    began = core.state.accounts[1].created_at
    found = replayed(core, terms=extra(5, at_us=began + 1, expires_after_us=HOUR_US)).close(10)
    assert found.not_tried == [NotRepeated("grants[0]", "EXPIRY_INVALID", 1)]
    assert found.granted == 0


def test_limits_replace_those_of_every_policy_then_and_later() -> None:
    """By hand: an overdraft of 30 lets in what lacked 20; also after a policy of the journal that
    has none, and where holds were kept from it."""
    core = core_of(DENIED)
    more = limits(overdraft_asset=CREDITS, overdraft_limit=30)
    found = replayed(core, terms=more).close(10)
    assert (found.limited, found.allowed_now) == (2, 2)  # as they were opened
    found = replayed(core, first=len(core.batches) - 1, terms=more).close(10)
    assert (found.limited, found.allowed_now) == (2, 2)
    core = core_of("""
        account acme overdraft=30
        policy  acme overdraft=5
        hold    acme 20 as=h1 -> denied INSUFFICIENT_CREDITS
        policy  acme overdraft=30 holds_overdraft=no
        hold    acme 20 as=h2 -> denied INSUFFICIENT_CREDITS
    """)
    assert replayed(core, terms=limits(overdraft_limit=30)).close(10).allowed_now == 1
    assert replayed(core, terms=limits(holds_overdraft=True)).close(10).allowed_now == 1
    both = limits(holds_overdraft=True, overdraft_limit=30)
    assert replayed(core, terms=both).close(10).allowed_now == 2


def test_one_account_s_limits_go_before_everybody_s() -> None:
    core = core_of(DENIED)
    terms = Terms(
        policies=(
            PolicyTerms(
                place="policies[0]", fields={"overdraft_asset": CREDITS, "overdraft_limit": 30}
            ),
            PolicyTerms(place="policies[1]", account=1, fields={"overdraft_limit": 19}),
        )
    )
    found = replayed(core, terms=terms).close(10)
    assert [(each.account, each.allowed) for each in found.denials] == [(2, 1)]


def test_no_overdraft_denies_what_was_allowed_and_its_work_costs_nothing() -> None:
    core = core_of("""
        account acme overdraft=100
        hold    acme 60 as=h1
        capture h1 60
        usage   acme 10
    """)
    found = replayed(core, terms=limits(overdraft_limit=0)).close(10)
    assert (found.denied_now, found.unrun_captures) == (1, 1)
    (over,) = found.over_limit
    assert (over.over_limit_old, over.over_limit_new) == (0, 10)


@pytest.mark.parametrize("seed", range(3))
def test_terms_that_change_nothing_give_the_ledger(seed: int) -> None:
    """Once as large, the limits that everybody has, a grant that comes later than all."""
    core = walked(seed + 80, 150)
    terms = Terms(
        grants=extra(5, at_us=core.now + DAY_US).grants,
        scales=scaled("7/7").scales,
        policies=limits(holds_open_max=10_000).policies if _all_have(core) else (),
    )
    assert_is_the_ledger(replayed(core, terms=terms), core)
    first = len(core.batches) // 2
    replay = replayed(core, first=first, terms=terms)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


def _all_have(core: Core) -> bool:
    policies = [
        event.policy
        for _, batch in core.batches
        for event in batch
        if isinstance(event, e.AccountCreated | e.AccountPolicyUpdated)
    ]
    return all(each.holds_open_max == 10_000 for each in policies)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_terms_are_tried_the_books_balance(seed: int) -> None:
    """With the fast loop and without it the same; grants that nobody issued included."""
    core = walked(seed + 90, 120)
    random = Random(seed)
    terms = Terms(
        grants=(
            *extra(random.randint(1, 500), priority=random.randint(-1, 1)).grants,
            GrantTerms(place="grants[1]", kind=e.GrantKind.PREPAID, asset=CREDITS, amount=77,
                       price_paid=31, price_asset=USD, expires_after_us=HOUR_US),
        ),
        scales=scaled(random.choice(["3/2", "1/2", "2/3", "10"])).scales,
        policies=limits(
            overdraft_limit=random.randint(0, 200),
            excess=random.choice(list(e.Excess)),
            overage=random.choice(list(e.Overage)),
        ).policies,
    )  # fmt: skip
    plainly, quickly = replayed(core, terms=terms, plainly=True), replayed(core, terms=terms)
    assert counters(plainly.state) == counters(quickly.state)
    assert totals(plainly.state) == totals(quickly.state)
    assert plainly.close(10).granted == quickly.close(10).granted > 0


@pytest.mark.parametrize("seed", range(6))
def test_doubled_limits_deny_nobody_more(seed: int) -> None:
    """Where what goes beyond every limit is owed: more overdraft never makes less room."""
    case, random = LedgerCase(), Random(seed)
    names = ["acme", "beta", "gamma"]
    limit = {name: random.randint(0, 60) for name in names}
    for name in names:
        case.run(f"account {name} overdraft={limit[name]}")
    held: list[str] = []
    for step in range(80):
        name, tokens = random.choice(names), random.randint(1, 40)
        match random.randrange(6):
            case 0:
                case.run(f"grant {name} {tokens * 3} paid=7 as=g{step}")
            case 1 | 2:
                tried(case, "hold", name, str(tokens), **{"as": f"h{step}"})
                if f"h{step}" in case.holds:
                    held.append(f"h{step}")
            case 3 if held:
                case.run(f"capture {held.pop(random.randrange(len(held)))} {tokens}")
            case _:
                case.run(f"usage {name} {tokens}")
    doubled = Terms(
        policies=tuple(
            PolicyTerms(place=name, account=number, fields={"overdraft_limit": 2 * limit[name]})
            for number, name in enumerate(names, start=1)
        )
    )
    found = replayed(case.core, terms=doubled).close(10)
    assert found.denied.old
    assert (found.denied_now, found.not_repeated) == (0, [])
    assert found.denied.new <= found.denied.old
    assert found.losing == Pair()
