"""Price overrides in the whole core: who pays what, since when, and what goes back (rule R4)."""

from __future__ import annotations

import pytest
from core_world import FAMILY, START_US, replay
from ledger_case import LedgerCase, ledger_case

from ledger.core.catalog import Catalog
from ledger.core.commands import NO_NAMES, RecordUsage, SetPriceOverrides
from ledger.core.digest import digest
from ledger.core.events import PlanDeclared, PlanOverridden, PriceOverridesSet, UsageRecorded
from ledger.core.limits import DAY_US, OVERRIDES_REMEMBERED_MAX
from ledger.core.metering.usual import record_usual
from ledger.core.outcomes import Known, Refusal
from ledger.core.packing import pack_family, pack_shard, unpack_family, unpack_shard
from rating.overrides import Multiplier, Override, Overwrite


@ledger_case
def test_another_price_and_a_ratio_of_the_price(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    override acme chat:3 half:x1/2     -> overrides 1
    usage    acme 10                   -> drawn 30 from acme
    usage    acme 10 of=image          -> drawn 10 from acme
    usage    acme 8 of=half            -> drawn 2 from acme
    override acme                      -> overrides 2
    usage    acme 10                   -> drawn 10 from acme
    """


@ledger_case
def test_an_override_prices_what_no_card_does(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    usage    acme 10 of=priceless        -> suspense
    override acme priceless:2
    usage    acme 10 of=priceless id=u   -> drawn 20 from acme
    reverse  u 4                         -> 8 to acme
    """


@ledger_case
def test_own_overrides_stand_before_those_of_the_accounts_above(case: LedgerCase) -> None:
    """
    account  acme
    account  acme/a parent=acme
    account  acme/a/x parent=acme/a
    grant    acme 1000 shared
    override acme chat:5
    usage    acme/a/x 1      -> drawn 5 from acme
    override acme/a chat:x3
    usage    acme/a/x 1      -> drawn 3 from acme
    usage    acme/a 1        -> drawn 3 from acme
    override acme/a/x chat:7
    usage    acme/a/x 1      -> drawn 7 from acme
    override acme chat:9
    usage    acme/a/x 1      -> drawn 7 from acme
    usage    acme 1          -> drawn 9 from acme
    override acme/a
    usage    acme/a 1        -> drawn 9 from acme
    override acme/a/x
    usage    acme/a/x 1      -> drawn 9 from acme
    account  acme/b parent=acme
    usage    acme/b 1        -> drawn 9 from acme
    """


@ledger_case
def test_they_follow_the_card_that_the_policy_names(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    grant    acme 100 asset=usd as=dollars
    override acme chat:x2 image:5
    policy   acme card=usd
    usage    acme 1                 -> drawn 2 from dollars
    usage    acme 1 of=image        -> suspense
    policy   acme
    usage    acme 1 of=image        -> drawn 5 from acme
    """


@ledger_case
def test_usage_is_priced_by_what_was_in_force_at_its_time(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 1000 effective=-10d
    clock    +1d
    override acme chat:3
    clock    +1d
    override acme chat:5
    clock    +1d
    override acme
    usage    acme 1 at=-50h      -> drawn 1 from acme
    usage    acme 1 at=-30h      -> drawn 3 from acme
    usage    acme 1 at=-10h      -> drawn 5 from acme
    usage    acme 1              -> drawn 1 from acme
    """


@ledger_case
def test_an_override_lasts_from_its_time_until_its_end(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 1000
    override acme chat:3@+1h..+2h
    usage    acme 1              -> drawn 1 from acme
    clock    +59m
    usage    acme 1              -> drawn 1 from acme
    clock    +2m
    usage    acme 1              -> drawn 3 from acme
    clock    +59m
    usage    acme 1              -> drawn 1 from acme
    """


@ledger_case
def test_an_earlier_time_reaches_back_only_to_what_is_unpriced(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 1000 effective=-10d
    override acme priceless:2@-2d.. chat:5@-2d..
    usage    acme 1 at=-1d                 -> drawn 1 from acme
    usage    acme 1 at=-1d of=priceless    -> drawn 2 from acme
    usage    acme 1 at=-3d of=priceless    -> suspense
    usage    acme 1                        -> drawn 5 from acme
    """


@ledger_case
def test_what_waits_for_a_price_is_rated_by_an_override_that_is_meant_for_its_time(
    case: LedgerCase,
) -> None:
    """
    account  acme
    account  acme/a parent=acme
    grant    acme 1000 shared effective=-10d
    usage    acme/a 10 of=priceless at=-1h id=u   -> suspense
    usage    acme/a 10 of=priceless at=-3d        -> suspense
    override acme priceless:2@-2d..
    clock    +1s
    sweep                                         -> rated, drawn 20 from acme
    reverse  u                                    -> 20 to acme; nothing
    """


@ledger_case
def test_what_is_given_back_goes_by_the_price_it_had(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 1000
    override acme chat:3 third:x2
    usage    acme 10 id=a                  -> drawn 30 from acme
    usage    acme 10 id=b of=third         -> drawn 7 from acme
    clock    +1h
    override acme chat:9
    reverse  a 4                           -> 12 to acme
    reverse  b                             -> 7 to acme
    amend    a 6 as=c                      -> 18 to acme; drawn 18 from acme
    """


@ledger_case
def test_holds_reserve_and_charge_at_the_overridden_price(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 1000
    override acme chat:3 agent:2
    hold     acme 10 as=h                       -> held 30 from acme
    override acme chat:4
    capture  h 5                                -> drawn 20 from acme
    override acme agent:2
    hold     acme 10 as=g of=agent              -> held 20 from acme
    override acme
    clock    +1h
    sweep                                       -> hold expired, charged, drawn 20 from acme
    """


@ledger_case
def test_rounding_goes_on_through_an_override_of_a_plain_row(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 1000
    override acme chat:1/3
    usage    acme 1      -> free
    usage    acme 1      -> drawn 1 from acme
    usage    acme 1      -> free
    usage    acme 3      -> drawn 1 from acme
    """


@ledger_case
def test_a_prompt_above_a_threshold_is_multiplied_at_its_own_price(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100000
    override acme gpt:x1/2
    usage    acme 0 of=gpt input=100 output=10      -> drawn 115 from acme
    usage    acme 0 of=gpt input=2000 output=10     -> drawn 4030 from acme
    """


@ledger_case
def test_a_list_is_replaced_at_the_version_that_is_expected(case: LedgerCase) -> None:
    """
    account  acme
    override acme chat:2 version=1   -> refused VERSION_MISMATCH expected_version
    override acme chat:2 id=o        -> overrides 1
    override acme chat:2 id=o        -> replayed: overrides 1
    override acme chat:3 id=o        -> refused CONFLICT overrides
    override acme chat:4 version=1   -> overrides 2
    override acme chat:5 version=1   -> refused VERSION_MISMATCH expected_version
    """


@ledger_case
def test_a_list_that_does_not_do_changes_nothing(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    override acme chat:3
    override acme chat/bytes:2        -> refused OVERRIDES_INVALID overrides[0].quantity
    override acme chat:2 asset=USD    -> refused OVERRIDES_INVALID overrides[0].change.asset
    override acme chat:2 chat:4       -> refused OVERRIDES_INVALID overrides[1]
    override acme priceless:x2        -> refused OVERRIDES_INVALID overrides[0]
    override nobody chat:3            -> refused ACCOUNT_UNKNOWN account
    usage    acme 1                   -> drawn 3 from acme
    """


@ledger_case
def test_a_closed_account_takes_none(case: LedgerCase) -> None:
    """
    account  acme
    close    acme
    override acme chat:3    -> refused ACCOUNT_CLOSED account
    """


def test_all_faults_of_a_list_are_named_with_their_places() -> None:
    case = LedgerCase()
    case.run("account acme")
    wrong = (Override("chat", "x", Multiplier("2")), Override("chat", "*", Overwrite("credits")))
    found = case.core.run(SetPriceOverrides(FAMILY.request("o"), 1, wrong))
    assert isinstance(found, Refusal)
    paths = [(fault.path, fault.reason) for fault in found.faults]
    assert ("overrides[0].quantity", "QUANTITY_UNKNOWN") in paths
    assert ("overrides[1].quantity", "QUANTITY_UNKNOWN") in paths


def test_an_override_that_stays_in_the_list_keeps_its_number_and_time() -> None:
    case = LedgerCase()
    case.run("account acme\noverride acme chat:3 half:2\nclock +1d\noverride acme image:5 chat:3")
    account = case.core.state.accounts[1]
    standing = [
        (each.numbered.number, each.numbered.override.product, each.set_at_us, each.until_us)
        for each in account.overrides
    ]
    later = START_US + DAY_US
    numbers = {product: (number, set_at) for number, product, set_at, _ in standing}
    assert numbers["chat"][0] == 1 and numbers["image"][0] == 3
    assert numbers["image"][1] - numbers["chat"][1] == DAY_US
    ended = [until for _, product, _, until in standing if product == "half"]
    assert ended == [numbers["image"][1]] and ended[0] >= later


def test_what_was_taken_back_is_remembered_as_long_as_usage_may_be_of_then() -> None:
    case = LedgerCase()
    case.run("account acme\noverride acme chat:3\nclock +1d\noverride acme chat:5\nclock +500d")
    case.run("override acme chat:7")
    assert [each.numbered.number for each in case.core.state.accounts[1].overrides] == [2, 3]


def test_an_account_has_so_many_with_those_that_are_remembered() -> None:
    case = LedgerCase()
    case.run("account acme")
    made = OVERRIDES_REMEMBERED_MAX // 256
    for number in range(made + 1):
        several = tuple(
            Override("chat", "tokens", Overwrite("credits", str(number)), priority=place)
            for place in range(256)
        )
        outcome = case.core.run(SetPriceOverrides(FAMILY.request(f"o{number}"), 1, several))
        if number < made:
            assert isinstance(outcome, PriceOverridesSet)
    assert isinstance(outcome, Refusal) and outcome.reason == "OVERRIDES_LIMIT"


def test_a_plan_names_the_overrides_that_price_it_and_only_where_any_does() -> None:
    case = LedgerCase()
    case.run("account acme\ngrant acme 100\noverride acme chat:3")
    batch = case.core.batches[-1][1]
    case.run("usage acme 1\nusage acme 1 of=image")
    plans = [event for event in batch if isinstance(event, PlanDeclared)]
    assert [type(plan) for plan in plans] == [PlanOverridden, PlanDeclared]
    assert [each.number for each in plans[0].overrides if each is not None] == [1]
    assert plans[1].overrides == ()


def test_usual_usage_is_priced_so_on_the_short_path_too() -> None:
    """Also where an override is to end: what is settled is settled until then."""
    case = LedgerCase()
    case.run("account acme\ngrant acme 1000\noverride acme chat:3@..+1d\nusage acme 1")
    core = case.core
    shape = core.shape("chat", "tokens")
    commands = [
        RecordUsage(FAMILY.usage("s", str(n)), 1, shape, (2,), 0, NO_NAMES) for n in range(3)
    ]
    recorded: list[int] = []
    batch = core.batches[-1][1]
    assert record_usual(core.state, commands, 0, batch, recorded) == 3
    for index in recorded:
        event = batch[index]
        assert isinstance(event, UsageRecorded) and event.charges == (6,)


LIFE = """
account  acme
account  acme/a parent=acme
grant    acme 1000 shared
override acme chat:3 priceless:2 agent:x2
usage    acme/a 5 id=u
hold     acme/a 5 as=h of=agent
override acme/a chat:x1/2
usage    acme/a 5 id=v
clock    +1d
override acme chat:7@+1d..
"""


def test_a_replay_and_packed_bytes_give_the_same_state_and_prices() -> None:
    case = LedgerCase()
    case.run(LIFE)
    core = case.core
    assert digest(replay(core.journal())) == digest(core.state)
    state = core.state
    shard = pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at)
    back = unpack_shard(shard, core.state.catalog)
    unpack_family(back, pack_family(state, 1, state.settled_before))
    for number, account in state.accounts.items():
        found = back.accounts[number]
        assert found.overrides == account.overrides
        assert found.overrides_version == account.overrides_version
        assert len(found.card_key) == len(account.card_key) == 3
        shape = core.shape("chat", "tokens")
        for at in (state.now, state.now - DAY_US, state.now + 2 * DAY_US):
            plans = [
                each.catalog.bind(each.accounts[number].card_key, shape, at).plan
                for each in (state, back)
            ]
            assert plans[0].numerators == plans[1].numerators
            assert plans[0].overrides == plans[1].overrides
    assert back.families[1].next_override == state.families[1].next_override == 6


def test_replay_asks_no_rate_card() -> None:
    """The declaration says which overrides priced it; evolve reads no catalog."""
    case = LedgerCase()
    case.run(LIFE)
    state = replay(case.core.journal(), Catalog())
    assert not state.catalog.cards


def test_a_recorded_request_is_answered_by_what_it_set() -> None:
    case = LedgerCase()
    case.run("account acme")
    command = SetPriceOverrides(
        FAMILY.request("o"), 1, (Override("chat", "tokens", Overwrite("credits", "2")),)
    )
    assert isinstance(case.core.run(command), PriceOverridesSet)
    assert isinstance(case.core.run(command), Known)


@pytest.mark.parametrize("accounts", [1, 50])
def test_those_who_inherit_share_one_set(accounts: int) -> None:
    case = LedgerCase()
    case.run("account acme\noverride acme chat:3")
    for number in range(accounts):
        case.run(f"account acme/{number} parent=acme")
    keys = {id(account.card_key) for account in case.core.state.accounts.values()}
    assert len(keys) == 1
    case.run("override acme chat:4")
    keys = {id(account.card_key) for account in case.core.state.accounts.values()}
    assert len(keys) == 1
