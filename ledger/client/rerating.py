"""Usage that was charged, rated again by a job: page by page, as PricingService does it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from rating.v1 import rerate_pb2 as pb
from rating.v1.pricing_pb2_grpc import PricingServiceStub


class RerateCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def rerate(
        self,
        job: str,
        rate_card: str,
        version: int,
        *,
        from_us: int,
        to_us: int = 0,
        account: str = "",
        dry_run: bool = False,
        actor: str = "",
        min_position: str | None = None,
    ) -> AsyncIterator[pb.RerateResponse]:
        """Give usage of [from, to) back and record it again by a version of a card, a few accounts
        at a time; `account` "" = of all whose usage that card priced.

        Stopped, it goes on where it was when the same job is asked for again. `dry_run` records
        nothing and says what would come of it.
        """
        request = pb.RerateRequest(
            tenant=self._caller.tenant,
            job=job,
            rate_card=rate_card,
            version=version,
            from_us=from_us,
            to_us=to_us,
            account=account,
            dry_run=dry_run,
            actor=actor,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            page = await self._caller.call(
                lambda channel: PricingServiceStub(channel).Rerate, request, account
            )
            yield page
            if not page.next_page_token:
                return
            request.page_token, request.min_position = page.next_page_token, page.position
