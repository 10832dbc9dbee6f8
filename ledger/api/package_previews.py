"""What another package or version would do for accounts that have one: nothing is recorded.

For one account, and page by page for all subscribers of a package: each by the decision itself, at
this moment, with what the account has set otherwise and would keep. Reads only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ledger.api.assets import Assets
from ledger.api.rendering.render_package import render_taken, render_term
from ledger.api.rendering.render_packaged_budget import (
    budgets_removed,
    render_budgets_set,
    render_operations_set,
)
from ledger.api.rendering.render_packaged_charge import render_charge_changes
from ledger.core.commands import ChangePackage, Subscribe
from ledger.core.decide import decide
from ledger.core.events import Event, Follow, OldGrants, PackageChanged, Subscribed, Timing
from ledger.core.outcomes import Known, Refusal
from ledger.core.packages.package_charges import ChargeChange, charge_changes
from ledger.core.packages.package_policy import value_of
from ledger.core.packages.subscriptions import Subscription
from ledger.core.state import Account, State
from ledger.v1 import package_pb2 as pb
from rating.overrides import NEVER_US

NO_KEY = b"\0" * 16


class Wanted(NamedTuple):
    """What is tried: a package, a version of it (0 = the newest in force), and what becomes of what
    the period has granted."""

    package: str
    version: int
    old_grants: OldGrants


Outcome: TypeAlias = tuple[Event | Known | Refusal, list[Event], tuple[ChargeChange, ...]]


class Tried(NamedTuple):
    """What came of it for an account, and how its subscription stands."""

    account: int
    version: int
    follow: int
    phase: str
    outcome: Event | Known | Refusal
    events: list[Event]
    charges: tuple[ChargeChange, ...]
    overrides: int
    held: tuple[str, ...]


def tried_for(
    state: State, number: int, wanted: Wanted, tenant: int, clock_us: int, key: bytes = NO_KEY
) -> Outcome:
    """What would be decided for an account at this moment, within the period that runs, all that
    would be recorded, and what would become of its fixed charges. Deciding changes nothing; the
    state's time is put back."""
    account = state.accounts.get(number)
    subscription = account.subscription if account is not None else None
    follow = Follow.PIN if wanted.version else Follow.FOLLOW
    command: Subscribe | ChangePackage
    if subscription is None or subscription.over:
        command = Subscribe(key, number, wanted.package, follow, wanted.version)
    else:
        command = ChangePackage(
            key, number, wanted.package, Timing.NOW, follow, wanted.version, 0, wanted.old_grants
        )
    state.act_for(tenant)
    before = state.now
    now = state.present(clock_us)
    if subscription is not None and not subscription.over:
        now = min(now, subscription.period_end - 1)
    state.now = max(before, now)
    out: list[Event] = []
    try:
        outcome = decide(state, command, out)
        changes = charge_changes(state, account, out) if account is not None else ()
        return outcome, out, changes
    finally:
        state.now = before


def tried_for_each(
    state: State,
    numbers: Sequence[int],
    package: str,
    wanted: Wanted,
    tenant: int,
    clock_us: int,
) -> list[Tried]:
    """The same for those of these accounts that have the package now."""
    found: list[Tried] = []
    for number in numbers:
        account = state.accounts.get(number)
        subscription = account.subscription if account is not None else None
        if account is None or subscription is None or subscription.over:
            continue
        if subscription.package != package:
            continue
        found.append(
            Tried(
                number,
                subscription.version,
                int(subscription.follow),
                subscription.phase,
                *tried_for(state, number, wanted, tenant, clock_us),
                sum([each.ended_at_us == NEVER_US for each in account.overrides]),
                _held(account, subscription),
            )
        )
    return found


def _held(account: Account, subscription: Subscription) -> tuple[str, ...]:
    """The fields of its policy that somebody set otherwise than its package: they would stay."""
    return tuple(
        [
            part.field
            for part in subscription.policy
            if value_of(account.policy, part.field) != part.value
        ]
    )


def render_tried(tried: Tried, shard: int, account: str, assets: Assets) -> pb.SubscriberPreview:
    """It as a message; grants that would be issued have no ids."""
    message = pb.SubscriberPreview(
        account=account,
        package_version=tried.version,
        follow=pb.PackageFollow.ValueType(tried.follow),
        phase=tried.phase,
        overrides=tried.overrides,
        held=tried.held,
    )
    outcome = tried.outcome
    if isinstance(outcome, Refusal):
        message.refused.CopyFrom(
            pb.PreviewRefusal(
                reason=outcome.reason.name,
                field=outcome.field,
                value=outcome.value,
                message=outcome.message,
            )
        )
        return message
    assert isinstance(outcome, Subscribed | PackageChanged), outcome
    assert outcome.term is not None
    message.term.CopyFrom(render_term(outcome.term, shard, tried.account, recorded=False))
    if isinstance(outcome, PackageChanged):
        message.taken_back.extend(render_taken(outcome.taken, shard, tried.account))
    message.budgets_set.extend(render_budgets_set(assets, tried.events))
    message.budgets_removed.extend(budgets_removed(tried.events))
    message.charges.extend(render_charge_changes(assets, tried.charges))
    operations = render_operations_set(assets, tried.events)
    if operations is not None:
        message.operations.CopyFrom(operations)
    return message
