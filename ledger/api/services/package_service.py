"""PackageService: what is sold as a plan, and who has it (rules P1 to P3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.card_check import FAULTS_MAX
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault, directory_refused, refused
from ledger.api.forward import Forwarder
from ledger.api.forward_all import gather_parts
from ledger.api.limits import Checked
from ledger.api.package_previews import Outcome, Wanted, render_tried, tried_for, tried_for_each
from ledger.api.pages import page_after, page_token
from ledger.api.positions import decode_position, encode_position, minimum, position_of
from ledger.api.published import Published
from ledger.api.rendering.render_card import render_fault
from ledger.api.rendering.render_package import (
    features_of,
    package_of,
    render_feature,
    render_package,
    render_taken,
    render_term,
    subscription_of,
)
from ledger.api.rendering.render_packaged_budget import (
    budgets_removed,
    render_budgets_set,
    render_operations_set,
)
from ledger.api.rendering.render_packaged_charge import render_charge_changes
from ledger.core.commands import CancelSubscription, ChangePackage, Command, Names, Subscribe
from ledger.core.events import (
    Follow,
    OldGrants,
    PackageChanged,
    Subscribed,
    SubscriptionCancelled,
    Timing,
)
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package, PackageVersion
from ledger.core.packages.packaged_budgets import PackagedMeasure
from ledger.core.state import State
from ledger.engine.ticket import NotOwner
from ledger.journal.configuration import ConfigurationEntry, ConfigurationRefused
from ledger.journal.directory import Entry
from ledger.journal.directory import Refused as DirectoryRefused
from ledger.v1 import package_pb2 as pb
from ledger.v1 import recurring_pb2
from rating.faults import CardFault
from rating.override_faults import beside_card

PREVIEW_METHOD: Final = (
    f"{pb.DESCRIPTOR.services_by_name['PackageService'].full_name}/PreviewSubscribers"
)
_FIELDS: Final = {"VERSION_DIFFERS": "expected_version", "NAME_INVALID": "package.name"}
_FOLLOWS: Final = {
    int(pb.PACKAGE_FOLLOW_UNSPECIFIED): Follow.FOLLOW,
    int(pb.PACKAGE_FOLLOW_FOLLOW): Follow.FOLLOW,
    int(pb.PACKAGE_FOLLOW_PIN): Follow.PIN,
    int(pb.PACKAGE_FOLLOW_FOLLOW_AFTER): Follow.FOLLOW_AFTER,
}
_OLD_GRANTS: Final = {
    int(pb.OLD_GRANTS_UNSPECIFIED): OldGrants.KEEP,
    int(pb.OLD_GRANTS_KEEP): OldGrants.KEEP,
    int(pb.OLD_GRANTS_FORFEIT_UNUSED): OldGrants.FORFEIT_UNUSED,
    int(pb.OLD_GRANTS_PRORATE): OldGrants.PRORATE,
}
_TIMINGS: Final = {
    int(recurring_pb2.RECURRING_TIMING_UNSPECIFIED): Timing.NEXT_PERIOD,
    int(recurring_pb2.RECURRING_TIMING_NEXT_PERIOD): Timing.NEXT_PERIOD,
    int(recurring_pb2.RECURRING_TIMING_NOW): Timing.NOW,
}


class PackageService:
    """See ledger/v1/package.proto."""

    def __init__(self, edge: Edge, forwarder: Forwarder) -> None:
        self._edge = edge
        self._forwarder = forwarder
        self._published = Published(edge.ledger)

    # -- versions --------------------------------------------------------------------------------

    async def publish(
        self, request: pb.PackageServicePublishRequest, call: Call
    ) -> pb.PackageServicePublishResponse:
        """Publish a version, or list everything that is wrong with it."""
        edge, given = self._edge, request.package
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("package", request.HasField("package"))
        check.ids(**{"package.name": given.name})
        check.instant("package.effective_from_us", given.effective_from_us)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        package, faults = package_of(given)
        faults += await self._unpublished(tenant, package)
        if request.validate_only:
            return pb.PackageServicePublishResponse(
                faults=[render_fault(fault) for fault in faults[:FAULTS_MAX]]
            )
        if faults:
            raise _invalid(faults)
        versions = await self._published.packages(tenant, given.name)
        effective_us = given.effective_from_us
        again = bool(versions) and _is_again(*versions[0], package, effective_us)
        if again:
            await edge.ledger.apply_published(tenant)
            entry = versions[0][0]
        else:
            made = await edge.ledger.publish_package(
                tenant, given.name, package, effective_us, request.expected_version
            )
            if isinstance(made, ConfigurationRefused):
                field = _FIELDS.get(made.reason.value, "package")
                raise CallFailed(made.reason.value, made.message, field=field, value=made.value)
            entry = made
        return pb.PackageServicePublishResponse(
            package=_render_version(entry, package, await self._scales(tenant)), replayed=again
        )

    async def _unpublished(self, tenant: int, package: Package) -> list[CardFault]:
        """What the version names and the tenant does not have: assets, cards; and what is to be
        money but is not."""
        assets = {
            entry.name: await self._published.asset_body(entry)
            for entry in await self._published.assets(tenant)
        }
        named: list[tuple[str, str, bool]] = []
        for place, grant in enumerate(package.grants):
            named.append((f"grants[{place}].asset", grant.asset, False))
            if grant.price_asset:
                named.append((f"grants[{place}].price_asset", grant.price_asset, True))
        for place, seats in enumerate(package.seats):
            named.append((f"seats[{place}].allowance.asset", seats.allowance.asset, False))
            if seats.allowance.price_asset:
                path = f"seats[{place}].allowance.price_asset"
                named.append((path, seats.allowance.price_asset, True))
        for place, budget in enumerate(package.budgets):
            if budget.asset:
                is_money = budget.measure is PackagedMeasure.COST
                named.append((f"budgets[{place}].asset", budget.asset, is_money))
        if package.operations is not None and package.operations.budget.asset:
            each_of = package.operations.budget
            is_money = each_of.measure is PackagedMeasure.COST
            named.append(("operations.budget.asset", each_of.asset, is_money))
        for place, charge in enumerate(package.charges):
            named.append((f"charges[{place}].asset", charge.asset, False))
        for place, rule in enumerate(package.rules):
            if rule.asset:
                named.append((f"rules[{place}].asset", rule.asset, False))
            if rule.lifetime_value_asset:
                path = f"rules[{place}].lifetime_value_asset"
                named.append((path, rule.lifetime_value_asset, True))
        policy = package.policy
        if policy.overdraft_asset:
            named.append(("policy.overdraft_asset", policy.overdraft_asset, False))
        if policy.settlement_asset:
            named.append(("policy.settlement_asset", policy.settlement_asset, True))
        faults: list[CardFault] = []
        for path, code, is_money in named:
            body = assets.get(code)
            if body is None:
                message = "the tenant has no such asset; create it first"
                faults.append(CardFault(path, "ASSET_UNKNOWN", code, message))
            elif is_money and body.kind != "money":
                message = "name an asset that is money"
                faults.append(CardFault(path, "ASSET_KIND_INVALID", code, message))
        card = policy.rate_card
        if not card:
            return faults
        versions = await self._published.versions(tenant, card)
        if versions:
            newest = await self._published.card(versions[0])
            for place, each in enumerate(package.overrides):
                faults += beside_card(f"overrides[{place}]", each, newest)
        elif not await self._published.aliases(tenant, card):
            message = "the tenant has no such rate card or alias; publish it first"
            faults.append(CardFault("policy.rate_card", "RATE_CARD_UNKNOWN", card, message))
        return faults

    async def _scales(self, tenant: int) -> dict[str, int]:
        """Scales of the tenant's assets by their codes."""
        return {
            entry.name: (await self._published.asset_body(entry)).scale
            for entry in await self._published.assets(tenant)
        }

    async def list(
        self, request: pb.PackageServiceListRequest, call: Call
    ) -> pb.PackageServiceListResponse:
        """Versions, ascending by name, newest first."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.optional(name=request.name)
        size = check.page_size(request.page_size)
        check.done()
        listing = f"packages/{tenant}/{request.name}"
        after = page_after(listing, request.page_token)
        found = await self._published.packages(tenant, request.name)
        scales = await self._scales(tenant)
        return pb.PackageServiceListResponse(
            packages=[_render_version(*each, scales) for each in found[after : after + size]],
            next_page_token=page_token(listing, after + size) if len(found) > after + size else "",
        )

    # -- subscriptions ---------------------------------------------------------------------------

    async def subscribe(
        self, request: pb.PackageServiceSubscribeRequest, call: Call
    ) -> pb.PackageServiceSubscribeResponse:
        """Have an account have a package from now on."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, package=request.package)
        _check_follow(check, request)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = Subscribe(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.package,
            _FOLLOWS[request.follow],
            request.package_version,
            request.locked_until_us,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        event = answer.event
        assert isinstance(event, Subscribed), event
        with rendering(answer.position):
            term = render_term(event.term, entry.shard, entry.number)
        return pb.PackageServiceSubscribeResponse(
            term=term,
            version=event.revision,
            replayed=answer.replayed,
            position=answer.position,
        )

    async def change(
        self, request: pb.PackageServiceChangeRequest, call: Call
    ) -> pb.PackageServiceChangeResponse:
        """Another package or version, now or from the next period on."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, package=request.package)
        _check_follow(check, request)
        check.one_of("timing", request.timing, _TIMINGS)
        check.one_of("old_grants", request.old_grants, _OLD_GRANTS)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = ChangePackage(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.package,
            _TIMINGS[request.timing],
            _FOLLOWS[request.follow],
            request.package_version,
            request.locked_until_us,
            _OLD_GRANTS[request.old_grants],
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        event = answer.event
        assert isinstance(event, PackageChanged), event
        with rendering(answer.position):
            term = event.term
            return pb.PackageServiceChangeResponse(
                term=render_term(term, entry.shard, entry.number) if term is not None else None,
                taken_back=render_taken(event.taken, entry.shard, entry.number),
                version=event.revision,
                replayed=answer.replayed,
                position=answer.position,
            )

    async def cancel(
        self, request: pb.PackageServiceCancelRequest, call: Call
    ) -> pb.PackageServiceCancelResponse:
        """End the subscription with its period, or now."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.one_of("timing", request.timing, _TIMINGS)
        check.one_of("old_grants", request.old_grants, _OLD_GRANTS)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = CancelSubscription(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            _TIMINGS[request.timing],
            _OLD_GRANTS[request.old_grants],
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        event = answer.event
        assert isinstance(event, SubscriptionCancelled), event
        with rendering(answer.position):
            return pb.PackageServiceCancelResponse(
                ends_at_us=event.ends_at,
                taken_back=render_taken(event.taken, entry.shard, entry.number),
                version=event.revision,
                replayed=answer.replayed,
                position=answer.position,
            )

    async def _ask(self, call: Call, entry: Entry, command: Command, account: str) -> Answer:
        ticket = await call.submit(self._edge.ledger, entry, command)
        return answer_of(ticket, {"account": account})

    # -- reads -----------------------------------------------------------------------------------

    async def get_subscription(
        self, request: pb.PackageServiceGetSubscriptionRequest, call: Call
    ) -> pb.PackageServiceGetSubscriptionResponse:
        """The subscription of an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)
        found, reached = await edge.writer(entry).read(
            lambda state: subscription_of(state, entry.number, entry.account_id),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if found is None:
            raise CallFailed(
                "SUBSCRIPTION_UNKNOWN",
                "the account never had a package; subscribe it to one",
                field="account",
                value=request.account,
            )
        return pb.PackageServiceGetSubscriptionResponse(
            subscription=found, position=position_of(entry.shard, reached)
        )

    async def preview(
        self, request: pb.PackageServicePreviewRequest, call: Call
    ) -> pb.PackageServicePreviewResponse:
        """What a change now would do; nothing is recorded."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(package=request.package)
        check.between("package_version", request.package_version, 0)
        check.one_of("old_grants", request.old_grants, _OLD_GRANTS)
        check.done()
        entry = await edge.account(tenant, request.account)
        wanted = Wanted(request.package, request.package_version, _OLD_GRANTS[request.old_grants])
        clock_us = edge.ledger.clock.now_us()
        key = edge.ledger.family(entry).request(f"preview {call.trace.hex()}")

        def tried(state: State) -> Outcome:
            return tried_for(state, entry.number, wanted, entry.tenant, clock_us, key)

        (outcome, events, charges), reached = await edge.writer(entry).read(
            tried, 0, (entry.number,)
        )
        if isinstance(outcome, Refusal):
            raise refused(outcome, {"account": request.account})
        assert isinstance(outcome, Subscribed | PackageChanged), outcome
        taken = outcome.taken if isinstance(outcome, PackageChanged) else ()
        assert outcome.term is not None
        return pb.PackageServicePreviewResponse(
            term=render_term(outcome.term, entry.shard, entry.number, recorded=False),
            taken_back=render_taken(taken, entry.shard, entry.number),
            position=position_of(entry.shard, reached),
            budgets_set=render_budgets_set(edge.assets, events),
            budgets_removed=budgets_removed(events),
            charges=render_charge_changes(edge.assets, charges),
            operations=render_operations_set(edge.assets, events),
        )

    async def preview_subscribers(
        self, request: pb.PackageServicePreviewSubscribersRequest, call: Call
    ) -> pb.PackageServicePreviewSubscribersResponse:
        """The same for all that have a package now, account by account; nothing is recorded."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(package=request.package)
        check.optional(to_package=request.to_package)
        check.between("package_version", request.package_version, 0)
        check.one_of("old_grants", request.old_grants, _OLD_GRANTS)
        size = check.page_size(request.page_size)
        check.done()
        page = await edge.ledger.directory.list_accounts(tenant, None, size, request.page_token)
        if isinstance(page, DirectoryRefused):
            raise directory_refused(page, "page_token")
        wanted = Wanted(
            request.to_package or request.package,
            request.package_version,
            _OLD_GRANTS[request.old_grants],
        )
        entries = {profile.entry.number: profile.entry for profile in page.accounts}
        previews, reached = await self._tried(entries, request.package, wanted, tenant)
        missing = {entry.shard for entry in entries.values()} - reached.keys()
        if missing and not call.forwarded:
            for part in await gather_parts(
                self._forwarder,
                PREVIEW_METHOD,
                request,
                pb.PackageServicePreviewSubscribersResponse,
                call.hop,
                missing,
                lambda part: set(decode_position(part.position)),
            ):
                reached.update(decode_position(part.position))
                previews.update({each.account: each for each in part.previews})
        ids = [profile.entry.account_id for profile in page.accounts]
        return pb.PackageServicePreviewSubscribersResponse(
            previews=[previews[each] for each in ids if each in previews],
            next_page_token=page.next_page_token,
            position=encode_position(reached),
        )

    async def _tried(
        self, entries: Mapping[int, Entry], package: str, wanted: Wanted, tenant: int
    ) -> tuple[dict[str, pb.SubscriberPreview], dict[int, int]]:
        """Previews by account id of our own shards, and the positions that they are as of."""
        edge = self._edge
        clock_us = edge.ledger.clock.now_us()
        by_shard: dict[int, list[int]] = {}
        for entry in entries.values():
            by_shard.setdefault(entry.shard, []).append(entry.number)
        previews: dict[str, pb.SubscriberPreview] = {}
        reached: dict[int, int] = {}
        for shard, numbers in by_shard.items():
            look = partial(
                tried_for_each,
                numbers=numbers,
                package=package,
                wanted=wanted,
                tenant=tenant,
                clock_us=clock_us,
            )
            try:
                found, reached[shard] = await edge.ledger.writers[shard].read(look, 0, numbers)
            except NotOwner:
                continue
            for each in found:
                name = entries[each.account].account_id
                previews[name] = render_tried(each, shard, name, edge.assets)
        return previews, reached

    async def resolve_entitlements(
        self, request: pb.PackageServiceResolveEntitlementsRequest, call: Call
    ) -> pb.PackageServiceResolveEntitlementsResponse:
        """All features of an account, with where each comes from."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)
        now_us = edge.now_us(entry.tenant)
        features, reached = await edge.writer(entry).read(
            lambda state: features_of(state, entry.number, now_us),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        return pb.PackageServiceResolveEntitlementsResponse(
            entitlements=[
                render_feature(
                    each,
                    features,
                    edge.assets.of(each.asset) if each.asset else None,
                    entry.account_id,
                )
                for each in features.found
            ],
            period_end_us=features.period_end,
            position=position_of(entry.shard, reached),
        )


def _check_follow(
    check: Checked, request: pb.PackageServiceSubscribeRequest | pb.PackageServiceChangeRequest
) -> None:
    check.one_of("follow", request.follow, _FOLLOWS)
    check.between("package_version", request.package_version, 0)
    check.instant("locked_until_us", request.locked_until_us)


def _render_version(
    entry: ConfigurationEntry, package: Package, scales: Mapping[str, int]
) -> pb.PackageVersion:
    found = PackageVersion(entry.version, entry.published_at_us, entry.effective_from_us, package)
    return render_package(entry.name, found, scales)


def _is_again(
    latest: ConfigurationEntry, known: Package, package: Package, effective_us: int
) -> bool:
    """Whether the newest version is this very one: a retry of the call that published it."""
    same = msgspec.structs.asdict(known) == msgspec.structs.asdict(package)
    return same and effective_us in (0, latest.effective_from_us)


def _invalid(faults: Sequence[CardFault]) -> CallFailed:
    first = faults[0]
    many = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
    return CallFailed(
        "PACKAGE_INVALID",
        f"{first.path}: {first.message}{many}",
        field=f"package.{first.path}",
        value=first.value,
        faults=[
            Fault(each.reason, f"package.{each.path}", each.value, each.message) for each in faults
        ],
    )
