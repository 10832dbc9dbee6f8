"""The call of PricingService that rates usage again: a job a few accounts at a time (rule R7).

A page is whole accounts of one shard's family order, and may be asked for again; the process that
owns the shard answers it. Which accounts there are the read models say.
"""

from __future__ import annotations

from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked, text_fault
from ledger.api.pages import page_after, page_token
from ledger.api.positions import decode_position, encode_position
from ledger.api.published import Published
from ledger.api.read_models import WAIT_S, behind
from ledger.api.rerating import AccountJob
from ledger.core.limits import ID_BYTES_MAX, INT64_MAX
from ledger.core.pricing.repricing import Job
from ledger.engine.lease import NEVER_OURS
from ledger.engine.ticket import NotOwner
from ledger.engine.writer import RETRY_AFTER_US as NOT_OURS_US
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.projections.charged import charged_accounts, charged_usage
from rating.v1 import rerate_pb2 as pb

JOB_BYTES_MAX: Final = 64  # it stands within ids of 128 bytes
ACCOUNTS_A_PAGE: Final = 50
EVENTS_A_PAGE: Final = 2_048  # looked at; the account that goes over is finished
EVENTS_A_QUERY: Final = 1_024
_ACCOUNT_BITS: Final = 48  # of a page's number: its shard, its last account


class RerateCalls:
    """Part of PricingService."""

    _edge: Edge
    _published: Published
    _history: History | None

    async def rerate(self, request: pb.RerateRequest, call: Call) -> pb.RerateResponse:
        """One page of a job."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(rate_card=request.rate_card)
        check.fault(text_fault("job", request.job, JOB_BYTES_MAX, empty=False))
        check.fault(text_fault("actor", request.actor, ID_BYTES_MAX, empty=True))
        check.optional(account=request.account)
        check.between("version", request.version, 1)
        check.between("from_us", request.from_us, 1)
        check.between("to_us", request.to_us, 0)
        check.done()
        times = (request.from_us, request.to_us or INT64_MAX)
        if times[0] >= times[1]:
            raise CallFailed(
                "RANGE_INVALID",
                "to_us is the first instant that is no longer looked at, after from_us",
                field="to_us",
                value=str(request.to_us),
            )
        await self._known_version(tenant, request)
        page = _Page(edge, self._reads(), tenant, request, times, call)
        if request.account:
            entry = await edge.account(tenant, request.account)
            edge.writer(entry)
            await page.take(entry, "")
        else:
            await page.go_on()
        return page.response

    async def _known_version(self, tenant: int, request: pb.RerateRequest) -> None:
        versions = await self._published.versions(tenant, request.rate_card)
        if all(each.version != request.version for each in versions):
            raise CallFailed(
                "RATE_CARD_UNKNOWN",
                "the tenant has no such version of a rate card",
                field="rate_card",
                value=f"{request.rate_card} version {request.version}",
            )

    def _reads(self) -> History:
        if self._history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that it has no read models to find "
                "usage in",
            )
        return self._history


class _Page:
    """What one call does."""

    def __init__(
        self,
        edge: Edge,
        history: History,
        tenant: int,
        request: pb.RerateRequest,
        times: tuple[int, int],
        call: Call,
    ) -> None:
        self.response = pb.RerateResponse(position=request.min_position)
        self._edge = edge
        self._history = history
        self._tenant = tenant
        self._request = request
        self._times = times
        self._call = call
        self._job = Job(request.job, request.rate_card, request.version)
        self._least = dict(decode_position(request.min_position))
        self._listing = (
            f"rerate/{tenant}/{request.job}/{request.rate_card}/{request.version}/{times}/"
            f"{request.dry_run}"
        )

    async def go_on(self) -> None:
        """Take accounts of the card after the last page's."""
        writers = self._edge.ledger.writers
        last = (len(writers) << _ACCOUNT_BITS) - 1
        after = page_after(self._listing, self._request.page_token, last)
        shard, account = after >> _ACCOUNT_BITS, after & ((1 << _ACCOUNT_BITS) - 1)
        if writers[shard].lease is NEVER_OURS:
            raise NotOwner(shard, NOT_OURS_US)
        while shard < len(writers) and writers[shard].lease is not NEVER_OURS:
            await self._reached(shard)
            accounts = await charged_accounts(
                self._history.pool, self._tenant, shard, self._times, self._request.rate_card,
                account, ACCOUNTS_A_PAGE,
            )  # fmt: skip
            names = await self._edge.names(accounts)
            for account in accounts:
                await self._take_number(shard, account, names[account])
                if self.response.events >= EVENTS_A_PAGE:
                    self._more(shard, account)
                    return
            if len(accounts) < ACCOUNTS_A_PAGE:
                shard, account = shard + 1, 0
        if shard < len(writers):
            self._more(shard, account)

    def _more(self, shard: int, account: int) -> None:
        after = shard << _ACCOUNT_BITS | account
        self.response.next_page_token = page_token(self._listing, after)

    async def _take_number(self, shard: int, number: int, name: str) -> None:
        entry = await self._edge.ledger.resolve(self._tenant, name) if name else None
        if entry is not None and entry.number == number:
            await self.take(entry, self._request.rate_card)
            return
        erased = self.response.accounts.add(shard=shard)  # its keys are gone with its name
        erased.left_alone.add(reason="ACCOUNT_UNKNOWN")

    async def take(self, entry: Entry, rate_card: str) -> None:
        """Do one account whole; `rate_card` "" = usage by any card."""
        edge = self._edge
        writer = edge.writer(entry)
        await self._reached(entry.shard)
        job = AccountJob(edge, writer, entry, self._job, self._call)
        after, ends = -1, self._least[entry.shard]
        while True:
            usage = await charged_usage(
                self._history.pool, self._tenant, entry.shard, entry.number, self._times,
                rate_card, after, EVENTS_A_QUERY,
            )  # fmt: skip
            await job.look_at([each for each in usage if each.entry_seq < ends])
            if len(usage) < EVENTS_A_QUERY:
                break
            after = usage[-1].entry_seq
        job.join()
        if self._request.dry_run:
            await job.try_out()
        else:
            with edge.ledger.underway.working():
                await job.run()
                await job.adjust(self._request.actor)
        self.response.events += job.events
        shown = job.render(dry_run=self._request.dry_run)
        if shown.totals or shown.adjustments or shown.left_alone or shown.done_before:
            self.response.accounts.append(shown)

    async def _reached(self, shard: int) -> None:
        """Return when the read models of a shard are as far as is asked."""
        if shard not in self._least:
            _, self._least[shard] = await self._edge.ledger.writers[shard].read(_nothing)
            self.response.position = encode_position(self._least)
        least = self._least[shard]
        standing = await self._history.reach(self._tenant, shard, least, WAIT_S)
        if standing.entries < least:
            raise behind(
                self._history, shard, standing, least, "min_position", self._request.min_position
            )


def _nothing(_: object) -> None:
    """Only the position is asked for."""
