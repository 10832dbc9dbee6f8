"""Rules of decisions that a package carries: with each period by its version, until the account has
its own or the package no more (rules P1, D4)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, TENANT, replay
from msgspec.structs import replace
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_packages import ACME, FEBRUARY, HALF, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.packages.packaged import Package, canonical_bytes, decode_package, validate
from ledger.core.packages.packaged_rules import (
    LIMITS,
    PackagedAction,
    PackagedAlternative,
    PackagedMap,
    PackagedRule,
)
from ledger.core.packing import drop_family, pack_family, unpack_family

CHILD = 2


def overdraw(bound: int) -> PackagedRule:
    return PackagedRule(PackagedAction.OVERDRAW, asset="credits", bound=bound)


def ruled(*rules: PackagedRule) -> Package:
    return replace(plan(10), rules=rules)


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("plain", plan(10))
    made.publish("team", ruled(overdraw(5)))
    made.ask(c.CreateAccount(made.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    yield made
    made.finish()


def ask(world: World, tokens: int, account: int = ACME) -> Any:
    shape = world.core.shape("chat", "tokens")
    return world.ask(c.DebitWork(world.key(), account, shape, (tokens,)))


def decided(world: World, tokens: int, account: int = ACME) -> tuple[str, int, int]:
    """Of which package, at which version, by which rule; "" = no policy had a say."""
    ruling = getattr(ask(world, tokens, account), "ruling", None)
    return (ruling.package, ruling.version, ruling.rule) if ruling is not None else ("", 0, 0)


def test_its_rules_count_as_long_as_the_account_has_it(world: World) -> None:
    assert isinstance(ask(world, 3), e.WorkDenied)
    subscribed = world.subscribe("team")
    assert decided(world, 12) == ("team", subscribed.term.version, 1)
    assert decided(world, 3, CHILD) == ("team", subscribed.term.version, 1), "and for those below"
    assert isinstance(ask(world, 4), e.PolicyDenied), "5 are owed at most"
    world.change("plain")
    assert type(ask(world, 4)) is e.WorkDenied
    world.change("team")
    assert decided(world, 3)[0] == "team"
    world.cancel()
    assert type(ask(world, 4)) is e.WorkDenied


def test_a_version_counts_from_the_next_period_of_whoever_follows(world: World) -> None:
    world.subscribe("team", follow=e.Follow.FOLLOW)
    world.to(HALF)
    version = world.publish("team", ruled(overdraw(9)))
    assert isinstance(ask(world, 17), e.PolicyDenied)
    world.to(FEBRUARY)
    assert decided(world, 17) == ("team", version, 1)


def test_rules_of_its_own_come_first_and_those_of_the_package_after_them(world: World) -> None:
    world.subscribe("team")
    own = e.PolicyRule(e.PolicyAction.DENY)
    world.ask(c.SetDecisionPolicy(world.key(), ACME, (own,)))
    assert decided(world, 12) == ("", 1, 1)
    world.ask(c.SetDecisionPolicy(world.key(), ACME, ()))
    assert decided(world, 12)[0] == "team"


def test_a_family_packed_and_a_replay_have_them(world: World) -> None:
    world.subscribe("team")
    state = world.core.state
    before, body = digest(state), pack_family(state, ACME, state.settled_before)
    drop_family(state, ACME)
    unpack_family(state, body)
    assert digest(state) == before
    assert pack_family(state, ACME, state.settled_before) == body
    assert decided(world, 12)[0] == "team"
    assert digest(replay(world.core.journal())) == digest(state)
    assert_is_the_ledger(replayed(world.core, catalog=world.core.catalog), world.core)


def test_every_fault_of_a_rule_is_named() -> None:
    nothing = PackagedAlternative()
    package = ruled(
        PackagedRule(PackagedAction.OVERDRAW, bound=5),
        PackagedRule(PackagedAction.DEFER),
        PackagedRule(PackagedAction.DOWNGRADE, alternatives=(nothing,)),
        PackagedRule(
            PackagedAction.DOWNGRADE,
            products=("",),
            alternatives=(PackagedAlternative("x", quantities=(PackagedMap("t", "t", 0),)),),
        ),
        PackagedRule(PackagedAction.TOP_UP, margin_floor_permille=1),
    )
    assert [fault.path for fault in validate(package)] == [
        "rules[0].asset",
        "rules[1].alternatives",
        "rules[2].alternatives[0]",
        "rules[3].products[0]",
        "rules[3].alternatives[0].permille",
        "rules[4].action",
    ]
    assert decode_package(canonical_bytes(package)) == package
    assert validate(ruled(*[overdraw(1)] * 17))[0].path == "rules"


def test_a_package_whose_rules_do_not_fit_is_refused(world: World) -> None:
    rule = PackagedRule(PackagedAction.OVERDRAW, asset="pearls", bound=1)
    world.publish("broken", ruled(rule))
    refused = world.refused(c.Subscribe(world.key(), ACME, "broken"))
    assert (refused.reason, refused.field) == ("ASSET_UNKNOWN", "rules[0].asset")


def test_verify_knows_whose_rules_decided(world: World) -> None:
    world.subscribe("team")
    ask(world, 12)
    assert CREDITS in world.core.state.accounts[ACME].advance
    assert judged(world.core) == []


def test_a_rule_names_every_limit_but_the_margin() -> None:
    """For that there is a floor."""
    assert set(LIMITS.values()) == set(e.LimitKind) - {e.LimitKind.MARGIN}
