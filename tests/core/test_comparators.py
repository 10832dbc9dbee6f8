"""Every comparator, key by key, against the public description that it follows (rule D2)."""

from __future__ import annotations

from itertools import permutations

import pytest
from ledger_case import LedgerCase, ledger_case

from ledger.core.drawing.comparators import COMPARATORS, order_of
from ledger.core.events import Comparator

KEYS = {
    "priority": ("priority=1", "priority=2"),
    "expiry": ("expires=+1d", "expires=+2d"),
    "some expiry": ("expires=+90d", ""),
    "cost": ("paid=10", "paid=11"),
    "free": ("paid=0", "paid=1"),
    "products": ("for=chat", "for=chat,image"),
    "some products": ("for=chat,image", ""),
    "effective": ("effective=-2h", "effective=-1h"),
    "promotional": ("free", "paid=0"),
}
"""What decides between two grants that are alike in all else: the first pays first."""

ORDERS = {
    Comparator.DRAWDOWN_1: ("priority", "expiry", "cost", "products", "effective"),
    Comparator.METRONOME_1: ("priority", "free", "products", "expiry", "effective"),
    Comparator.ORB_1: ("expiry", "cost"),
    Comparator.STRIPE_1: ("priority", "expiry", "promotional", "effective"),
    Comparator.OPENMETER_1: ("priority", "expiry"),
}
ALONE = {
    Comparator.DRAWDOWN_1: ("some expiry", "free", "some products"),
    Comparator.METRONOME_1: ("some expiry", "some products"),
    Comparator.ORB_1: ("some expiry", "free"),
    Comparator.STRIPE_1: ("some expiry",),
    Comparator.OPENMETER_1: ("some expiry",),
}


def first_of(comparator: Comparator, first: str, second: str) -> str:
    """Which of two grants pays, issued the loser first."""
    case = LedgerCase()
    case.run(f"account acme order={comparator.name.lower()}")
    case.run("clock +3h")
    case.run(f"grant acme 10 as=second {second}\ngrant acme 10 as=first {first}")
    account = case.core.state.accounts[1]
    found = sorted(account.grants, key=order_of)
    return "first" if found[0].number == case.grants["first"] else "second"


def _merged(*flags: str) -> str:
    """Terms of one grant; of what is said twice the last is meant."""
    said = {flag.partition("=")[0]: flag for flag in flags if flag}
    if "free" in said:
        said.pop("paid", None)
    return " ".join(said.values())


@pytest.mark.parametrize(
    ("comparator", "key"),
    [(each, key) for each in ORDERS for key in (*ORDERS[each], *ALONE[each])],
)
def test_each_key_decides_alone(comparator: Comparator, key: str) -> None:
    assert first_of(comparator, *KEYS[key]) == "first"


@pytest.mark.parametrize("comparator", list(ORDERS))
def test_keys_count_in_their_order(comparator: Comparator) -> None:
    """A grant that wins by one key and loses by all after it pays first."""
    keys = ORDERS[comparator]
    for place, key in enumerate(keys[:-1]):
        wins, loses = KEYS[key]
        after = keys[place + 1 :]
        first = _merged(*[KEYS[each][1] for each in after], wins)
        second = _merged(*[KEYS[each][0] for each in after], loses)
        assert first_of(comparator, first, second) == "first", key


@pytest.mark.parametrize("comparator", list(ORDERS))
def test_what_is_no_key_does_not_count(comparator: Comparator) -> None:
    """Two grants that differ only in what the comparator does not look at: the order of issue."""
    known = {*ORDERS[comparator], *ALONE[comparator], "some products", "some expiry"}
    for key in ("priority", "expiry", "cost", "products", "effective"):
        if key not in known and not (key == "cost" and "free" in known):
            for wins in permutations(KEYS[key]):
                assert first_of(comparator, *wins) == "second", key


def test_every_comparator_is_known() -> None:
    assert set(COMPARATORS) == set(Comparator) - {Comparator.INHERITED} == set(ORDERS)


@ledger_case
def test_drawdown(case: LedgerCase) -> None:
    """
    # Rule D2, ours: the pot; prepaid before postpaid; priority; soonest expiry, none last; lower
    # cost; more attribute conditions, fewer products, then tag, then all; earlier effective.

    account parent
    account acme    parent=parent
    clock   +3h
    grant   parent  1  as=above    paid=1 priority=-9 expires=+1h shared
    grant   acme    1  as=postpaid paid=1 priority=-9 postpaid
    grant   acme    1  as=never    free
    grant   acme    1  as=created  paid=5 expires=+9d effective=-1h
    grant   acme    1  as=start    paid=5 expires=+9d effective=-2h
    grant   acme    1  as=tag      paid=5 expires=+9d tags=media
    grant   acme    1  as=two      paid=5 expires=+9d for=chat,image
    grant   acme    1  as=one      paid=5 expires=+9d for=image
    grant   acme    1  as=where    paid=5 expires=+9d where=region:eu
    grant   acme    1  as=cheap    paid=4 expires=+9d
    grant   acme    1  as=soon     paid=9 expires=+1d
    grant   acme    1  as=urgent   paid=9 priority=-1
    usage   acme    3  of=image with=region:eu
            -> drawn 1 from urgent, drawn 1 from soon, drawn 1 from cheap
    usage   acme    4  of=image with=region:eu
            -> drawn 1 from where, drawn 1 from one, drawn 1 from two, drawn 1 from tag
    usage   acme    3  of=image with=region:eu
            -> drawn 1 from start, drawn 1 from created, drawn 1 from never
    usage   acme    2  of=image with=region:eu -> drawn 1 from postpaid, drawn 1 from above
    """


@ledger_case
def test_metronome_draws_rollovers_first_and_postpaid_last(case: LedgerCase) -> None:
    """
    # docs.metronome.com, "Understand prioritization rules": commits that were rolled over come
    # before all others and postpaid ones after; between equals fewer specifiers come first.

    account acme order=metronome_1
    grant   acme  2  as=old       paid=8 expires=+1d rolls=1/2 lasts=30d priority=9
    clock   +1d
    sweep   -> old rolled over 1
    grant   acme  1  as=postpaid  paid=1 priority=-9 postpaid
    grant   acme  1  as=specified paid=5 where=region:eu
    grant   acme  1  as=plain     paid=5
    grant   acme  1  as=urgent    paid=9 priority=-1
    usage   acme  2  with=region:eu -> drawn 1 from old+, drawn 1 from urgent
    usage   acme  3  with=region:eu
            -> drawn 1 from plain, drawn 1 from specified, drawn 1 from postpaid
    """


@ledger_case
def test_metronome(case: LedgerCase) -> None:
    """
    # docs.metronome.com, "Understand prioritization rules", prepaid commits and credits: priority;
    # zero cost basis before paid; fewest applicable products; earlier ending; earlier starting.

    account acme order=metronome_1
    clock   +3h
    grant   acme  1  as=later-start paid=1 expires=+9d effective=-1h
    grant   acme  1  as=start       paid=1 expires=+9d effective=-2h
    grant   acme  1  as=ending      paid=1 expires=+1d
    grant   acme  1  as=one-product paid=9 for=chat
    grant   acme  1  as=no-cost     free
    grant   acme  1  as=urgent      paid=9 priority=-1
    usage   acme  3 -> drawn 1 from urgent, drawn 1 from no-cost, drawn 1 from one-product
    usage   acme  3 -> drawn 1 from ending, drawn 1 from start, drawn 1 from later-start
    """


@ledger_case
def test_orb(case: LedgerCase) -> None:
    """
    # docs.withorb.com, "Credit systems", block ordering: soonest expiring, then cost basis, then
    # creation. (Blocks with item filters go first there; rule D2 leaves that key out.)

    account acme order=orb_1
    grant   acme  1  as=late   free    priority=1
    grant   acme  1  as=dear   paid=9  priority=2 expires=+9d
    grant   acme  1  as=cheap  paid=1  priority=3 expires=+9d
    grant   acme  1  as=again  paid=1  priority=0 expires=+9d
    grant   acme  1  as=soon   paid=99 priority=4 expires=+1d
    usage   acme  3 -> drawn 1 from soon, drawn 1 from cheap, drawn 1 from again
    usage   acme  2 -> drawn 1 from dear, drawn 1 from late
    """


@ledger_case
def test_stripe(case: LedgerCase) -> None:
    """
    # docs.stripe.com, "Billing credits", how grants apply: priority; earlier expires_at; category
    # promotional before paid; earlier effective_at; earlier created.

    account acme order=stripe_1
    clock   +3h
    grant   acme  1  as=created   paid=1 expires=+9d
    grant   acme  1  as=effective paid=9 expires=+9d effective=-1h
    grant   acme  1  as=promotion free   expires=+9d
    grant   acme  1  as=soon      paid=9 expires=+1d
    grant   acme  1  as=urgent    paid=9 priority=-1
    usage   acme  3 -> drawn 1 from urgent, drawn 1 from soon, drawn 1 from promotion
    usage   acme  2 -> drawn 1 from effective, drawn 1 from created
    """


@ledger_case
def test_openmeter(case: LedgerCase) -> None:
    """
    # openmeter.io, "Grant", burn-down order: priority; sooner expiration; earlier created.

    account acme order=openmeter_1
    grant   acme  1  as=created paid=9 expires=+9d
    clock   +1m
    grant   acme  1  as=later   free   expires=+9d for=chat
    grant   acme  1  as=soon    paid=9 expires=+1d
    grant   acme  1  as=urgent  paid=9 priority=-1
    usage   acme  2 -> drawn 1 from urgent, drawn 1 from soon
    usage   acme  2 -> drawn 1 from created, drawn 1 from later
    """


@ledger_case
def test_a_child_takes_its_nearest_ancestors_comparator(case: LedgerCase) -> None:
    """
    account acme          order=orb_1
    account acme/a        parent=acme
    account acme/a/b      parent=acme/a
    grant   acme/a/b  5   as=urgent priority=-1
    grant   acme/a/b  5   as=soon   expires=+1d
    usage   acme/a/b  1   -> drawn 1 from soon
    policy  acme/a        order=drawdown_1
    usage   acme/a/b  1   -> drawn 1 from urgent
    policy  acme/a/b      order=openmeter_1
    usage   acme/a/b  1   -> drawn 1 from urgent
    policy  acme/a/b      order=inherited
    policy  acme/a        order=inherited
    usage   acme/a/b  1   -> drawn 1 from soon
    """


@ledger_case
def test_a_change_of_comparator_rewrites_no_slice(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=urgent priority=-1
    grant   acme  10  as=soon   expires=+1d
    hold    acme  4   as=h      -> held 4 from urgent
    policy  acme      order=orb_1
    capture h     6   -> drawn 4 from urgent, drawn 2 from soon
    usage   acme  1   -> drawn 1 from soon
    """
