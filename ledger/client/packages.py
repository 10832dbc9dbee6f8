"""Calls of PackageService: what is sold as a plan, and who has it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import package_pb2 as pb
from ledger.v1 import recurring_pb2
from ledger.v1.package_pb2_grpc import PackageServiceStub

PAGE_SIZE = 100


class PackageCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def publish_package(
        self,
        package: pb.PackageVersion,
        *,
        expected_version: int = 0,
        validate_only: bool = False,
        request_id: str = "",
    ) -> pb.PackageServicePublishResponse:
        """Publish a version of a package; returns when every shard has it."""
        request = pb.PackageServicePublishRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            package=package,
            expected_version=expected_version,
            validate_only=validate_only,
        )
        return await self._caller.call(lambda channel: PackageServiceStub(channel).Publish, request)

    async def list_packages(self, name: str = "") -> AsyncIterator[pb.PackageVersion]:
        """Versions of all packages, or of one, ascending by name, newest first."""
        request = pb.PackageServiceListRequest(
            tenant=self._caller.tenant, name=name, page_size=PAGE_SIZE
        )
        while True:
            reply = await self._caller.call(
                lambda channel: PackageServiceStub(channel).List, request
            )
            for package in reply.packages:
                yield package
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def subscribe(
        self,
        account: str,
        package: str,
        *,
        follow: pb.PackageFollow.ValueType = pb.PACKAGE_FOLLOW_FOLLOW,
        package_version: int = 0,
        locked_until_us: int = 0,
        request_id: str = "",
    ) -> pb.PackageServiceSubscribeResponse:
        """Have an account have a package from now on."""
        request = pb.PackageServiceSubscribeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            package=package,
            follow=follow,
            package_version=package_version,
            locked_until_us=locked_until_us,
        )
        return await self._caller.call(
            lambda channel: PackageServiceStub(channel).Subscribe, request, account
        )

    async def change_package(
        self,
        account: str,
        package: str,
        *,
        now: bool = False,
        old_grants: pb.OldGrants.ValueType = pb.OLD_GRANTS_KEEP,
        follow: pb.PackageFollow.ValueType = pb.PACKAGE_FOLLOW_FOLLOW,
        package_version: int = 0,
        locked_until_us: int = 0,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.PackageServiceChangeResponse:
        """Another package or version, with the next period or now; expected version 0 = whatever
        the subscription is at."""
        request = pb.PackageServiceChangeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            package=package,
            timing=_timing(now),
            old_grants=old_grants,
            follow=follow,
            package_version=package_version,
            locked_until_us=locked_until_us,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: PackageServiceStub(channel).Change, request, account
        )

    async def cancel_subscription(
        self,
        account: str,
        *,
        now: bool = False,
        old_grants: pb.OldGrants.ValueType = pb.OLD_GRANTS_KEEP,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.PackageServiceCancelResponse:
        """End the subscription with its period, or now."""
        request = pb.PackageServiceCancelRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            timing=_timing(now),
            old_grants=old_grants,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: PackageServiceStub(channel).Cancel, request, account
        )

    async def get_subscription(self, account: str) -> pb.Subscription:
        """The subscription of an account, one that is over too."""
        request = pb.PackageServiceGetSubscriptionRequest(
            tenant=self._caller.tenant, account=account
        )
        reply = await self._caller.call(
            lambda channel: PackageServiceStub(channel).GetSubscription, request, account
        )
        return reply.subscription

    async def preview_package(
        self,
        account: str,
        package: str,
        *,
        package_version: int = 0,
        old_grants: pb.OldGrants.ValueType = pb.OLD_GRANTS_KEEP,
    ) -> pb.PackageServicePreviewResponse:
        """What a change now, or a subscription, would do; nothing is recorded."""
        request = pb.PackageServicePreviewRequest(
            tenant=self._caller.tenant,
            account=account,
            package=package,
            package_version=package_version,
            old_grants=old_grants,
        )
        return await self._caller.call(
            lambda channel: PackageServiceStub(channel).Preview, request, account
        )

    async def preview_subscribers(
        self,
        package: str,
        *,
        to_package: str = "",
        package_version: int = 0,
        old_grants: pb.OldGrants.ValueType = pb.OLD_GRANTS_KEEP,
    ) -> AsyncIterator[pb.SubscriberPreview]:
        """What a change now would do for each account that has the package; nothing is recorded."""
        request = pb.PackageServicePreviewSubscribersRequest(
            tenant=self._caller.tenant,
            package=package,
            to_package=to_package,
            package_version=package_version,
            old_grants=old_grants,
            page_size=PAGE_SIZE,
        )
        while True:
            reply = await self._caller.call(
                lambda channel: PackageServiceStub(channel).PreviewSubscribers, request
            )
            for each in reply.previews:
                yield each
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def resolve_entitlements(
        self, account: str
    ) -> pb.PackageServiceResolveEntitlementsResponse:
        """All features of an account, with where each comes from."""
        request = pb.PackageServiceResolveEntitlementsRequest(
            tenant=self._caller.tenant, account=account
        )
        return await self._caller.call(
            lambda channel: PackageServiceStub(channel).ResolveEntitlements, request, account
        )


def _timing(now: bool) -> recurring_pb2.RecurringTiming.ValueType:
    return recurring_pb2.RECURRING_TIMING_NOW if now else recurring_pb2.RECURRING_TIMING_NEXT_PERIOD
