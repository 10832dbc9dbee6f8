"""MandateService: what agents may spend and buy, granted, delegated, revoked; their tokens.

A mandate is an account of its own below the one that pays, so it takes two entries: the account,
under a request id that follows from its own id, and the mandate. Whatever is refused is refused
before the id is claimed; a server that dies between the two leaves an account without a mandate,
which nobody has a token of, and which the next request of that name goes on with.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault, directory_refused, failure_of, invalid, refused
from ledger.api.ids import GRANT, mint
from ledger.api.intake.parking import Parking
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.permits import not_permitted, require_scope, tenant_differs
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_mandate import (
    MandateView,
    mandate_view,
    purchase_of,
    render_mandate,
    terms_of,
    view_of,
)
from ledger.api.requests import asset_number
from ledger.auth.mandate_tokens import MandateKeys, MandateToken
from ledger.auth.principal import Scope
from ledger.auth.refusals import AuthRefused
from ledger.client.mandate_words import (
    DIGEST_SEPARATOR,
    SEPARATOR,
    UNTIL_MAX_US,
    Less,
    WordsInvalid,
    account_below,
)
from ledger.core.accounts.accounts import decide_create
from ledger.core.commands import CreateAccount, GrantMandate, Names, RequestTopUp, RevokeMandate
from ledger.core.events import (
    AccountPolicy,
    MandateGranted,
    MandateRevoked,
    MandateTerms,
    PurchaseRequested,
    PurchaseTerms,
)
from ledger.core.limits import PAYMENT_WAIT_US, SECOND_US
from ledger.core.mandates.mandating import mandate_above, refuse_mandate
from ledger.core.outcomes import Refusal
from ledger.core.state import State
from ledger.journal.directory import Entry, Refused
from ledger.v1 import mandate_pb2 as pb

REASON_BYTES_MAX: Final = 256
_OURS: Final = "\x1fmandate"
"""What begins request ids of ours: no caller's has such a character."""


class MandateService:
    """See ledger/v1/mandate.proto."""

    def __init__(self, edge: Edge, parking: Parking, keys: MandateKeys | None) -> None:
        """`keys` None: no tokens are signed, nor taken."""
        self._edge = edge
        self._parking = parking
        self._keys = keys

    async def grant(
        self, request: pb.MandateServiceGrantRequest, call: Call
    ) -> pb.MandateServiceGrantResponse:
        """Open an account for an agent, with its mandate."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, parent=request.parent, name=request.name)
        check.given("terms", request.HasField("terms"))
        check.ids(**{"terms.asset": request.terms.asset})
        for product in request.terms.products:
            check.ids(**{"terms.products": product})
        check.attributes("terms.attributes", request.terms.attributes)
        check.optional(
            **{
                "terms.purchase.price_asset": request.terms.purchase.price_asset,
                "terms.purchase.source": request.terms.purchase.source,
            }
        )
        if SEPARATOR in request.name or DIGEST_SEPARATOR in request.name:
            message = f"a name has neither {SEPARATOR} nor {DIGEST_SEPARATOR}"
            check.fault(Fault("ID_INVALID", "name", request.name, message))
        account = f"{request.parent}{SEPARATOR}{request.name}"
        check.ids(account=account)
        check.done()
        parent = await edge.own_account(tenant, request.parent)
        await self._may_grant(parent, call)
        terms = terms_of(edge.assets, request.terms, parent)
        purchase: PurchaseTerms | None = None
        if request.terms.HasField("purchase"):
            above = await self._buys_above(parent)
            purchase = purchase_of(edge.assets, request.terms.purchase, above, parent)
        answer, entry = await self._granted(
            tenant, parent, account, terms, purchase, request.request_id, call
        )
        with rendering(answer.position):
            mandate, _ = await self._shown(entry)
        return pb.MandateServiceGrantResponse(
            mandate=mandate, position=answer.position, replayed=answer.replayed
        )

    async def revoke(
        self, request: pb.MandateServiceRevokeRequest, call: Call
    ) -> pb.MandateServiceRevokeResponse:
        """End a mandate, and all below it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.text("reason", request.reason, REASON_BYTES_MAX)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = RevokeMandate(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.reason,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        assert isinstance(answer.event, MandateRevoked), answer.event
        return pb.MandateServiceRevokeResponse(position=answer.position, replayed=answer.replayed)

    async def get(
        self, request: pb.MandateServiceGetRequest, call: Call
    ) -> pb.MandateServiceGetResponse:
        """One mandate."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)
        mandate, reached = await self._shown(entry, request.min_position)
        return pb.MandateServiceGetResponse(
            mandate=mandate, position=position_of(entry.shard, reached)
        )

    async def list(
        self, request: pb.MandateServiceListRequest, call: Call
    ) -> pb.MandateServiceListResponse:
        """The mandates right below an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"mandates/{entry.number}"
        shown = page_after(listing, request.page_token)
        now_us = edge.now_us(tenant)

        def find(state: State) -> list[MandateView]:
            account = state.accounts.get(entry.number)
            below = account.children if account is not None else []
            found = [view_of(each, now_us) for each in below if each.mandate is not None]
            return [view for view in found if view is not None]

        views, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        page = views[shown : shown + size]
        names = await edge.names([entry.number, *[view.account for view in page]])
        return pb.MandateServiceListResponse(
            mandates=[render_mandate(edge.assets, view, names) for view in page],
            next_page_token=page_token(listing, shown + size) if views[shown + size :] else "",
            position=position_of(entry.shard, reached),
        )

    async def request_top_up(
        self, request: pb.RequestTopUpRequest, call: Call
    ) -> pb.RequestTopUpResponse:
        """Ask that the payer buys: a grant that waits for its payment."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, asset=request.asset)
        check.between("amount", request.amount, 1)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = RequestTopUp(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            asset_number(edge.assets, "asset", request.asset, entry),
            request.amount,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account, "asset": request.asset})
        event = answer.event
        assert isinstance(event, PurchaseRequested), event
        asset, money = edge.assets.of(event.asset), edge.assets.of(event.price_asset)
        return pb.RequestTopUpResponse(
            grant_id=mint(GRANT, entry.shard, event.payer, event.grant),
            asset=asset.code,
            scale=asset.scale,
            amount=event.amount,
            price_paid=event.price_paid,
            price_asset=money.code,
            price_scale=money.scale,
            waits_until_us=answer.recorded_at_us + PAYMENT_WAIT_US,
            position=answer.position,
            replayed=answer.replayed,
        )

    # -- tokens ------------------------------------------------------------------------------------

    async def issue_token(self, request: pb.IssueTokenRequest, call: Call) -> pb.IssueTokenResponse:
        """Sign a token of a mandate that has not ended."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        keys = self._signing()
        entry = await edge.account(tenant, request.account)
        view, _ = await self._view(entry)
        if view.state != pb.MANDATE_STATE_OPEN:
            revoked = view.state == pb.MANDATE_STATE_REVOKED
            raise CallFailed(
                "MANDATE_REVOKED" if revoked else "MANDATE_EXPIRED",
                "the mandate, or one above it, has ended: a token of it would be worth nothing",
                field="account",
                value=request.account,
            )
        check = Checked()
        check.between("expires_at_us", request.expires_at_us, 0, UNTIL_MAX_US)
        check.done()
        own = call.principal.until_us  # what an agent gives on ends with its own token
        if own and request.expires_at_us > own:
            message = f"no later than the caller's own token: {own}"
            fault = Fault("NUMBER_OUT_OF_RANGE", "expires_at_us", str(own), message)
            raise invalid([fault])
        ends = (request.expires_at_us or view.mandate.terms.expires_at, own)
        until = min([each for each in ends if each], default=0)
        until = min(until, UNTIL_MAX_US)  # the mandate itself may go on
        until -= until % SECOND_US
        if until < 0 or (request.expires_at_us and until <= edge.now_us(tenant)):
            message = "a token ends later than now, with a whole second"
            fault = Fault("NUMBER_OUT_OF_RANGE", "expires_at_us", str(until), message)
            raise invalid([fault])
        try:
            token = keys.sign(request.tenant, entry.account_id, until, entry.number)
        except WordsInvalid as error:
            raise CallFailed(
                "MANDATE_UNSIGNED", str(error), field="account", value=request.account
            ) from None
        return pb.IssueTokenResponse(
            token=token, public_key=bytes(keys.public_key.to_bytes()).hex()
        )

    async def present(self, request: pb.PresentRequest, call: Call) -> pb.PresentResponse:
        """Open what a token names that was attenuated offline."""
        edge = self._edge
        try:
            said = self._signing().read(request.token, edge.ledger.clock.now_us())
        except AuthRefused as error:
            failure = failure_of(error)
            assert failure is not None
            raise failure from None
        if said.tenant != request.tenant:
            failure = failure_of(tenant_differs(request.tenant))
            assert failure is not None
            raise failure
        tenant = await edge.tenant(said.tenant)
        entry = await edge.own_account(tenant, said.root)
        if said.number not in (0, entry.number):
            failure = failure_of(not_permitted("token", said.root))
            assert failure is not None
            raise failure  # the account was erased, and its id is another's
        position = ""
        for less in said.below:
            entry, position = await self._opened(tenant, entry, less, said, call)
        mandate, reached = await self._shown(entry, position)
        return pb.PresentResponse(mandate=mandate, position=position_of(entry.shard, reached))

    # -- parts -------------------------------------------------------------------------------------

    async def _opened(
        self, tenant: int, parent: Entry, less: Less, said: MandateToken, call: Call
    ) -> tuple[Entry, str]:
        """The account of a mandate that a token begins, opened if it is not."""
        edge = self._edge
        account = account_below(parent.account_id, less)
        entry = await edge.ledger.resolve(tenant, account)
        if entry is not None:
            number = entry.number
            view = await edge.writer(entry).look(
                lambda state: mandate_view(state, number, 0), (number,)
            )
            if view is not None:
                return entry, ""
        above, _ = await self._view(parent)
        terms = above.mandate.terms
        attributes = set(terms.attributes) | set(less.attributes)
        mine = MandateTerms(
            terms.asset,
            less.budget or terms.budget,
            less.products or terms.products,
            tuple(sorted(attributes)),
            less.price_max or terms.price_max,
            less.expires_at_us or terms.expires_at,
        )
        purchase = above.mandate.purchase
        if less.purchase is not None:
            purchase = None
            if less.purchase:
                purchase = replace(above.mandate.purchase or PurchaseTerms(), limit=less.purchase)
        answer, entry = await self._granted(
            tenant, parent, account, mine, purchase, f"{_OURS} {account}", call
        )
        return entry, answer.position

    async def _granted(
        self,
        tenant: int,
        parent: Entry,
        account: str,
        terms: MandateTerms,
        purchase: PurchaseTerms | None,
        request_id: str,
        call: Call,
    ) -> tuple[Answer, Entry]:
        """The account below `parent`, and its mandate."""
        edge = self._edge
        if await edge.ledger.resolve(tenant, account) is None:
            await self._foresee(tenant, parent, terms, purchase)
        created = await edge.ledger.create_account(
            tenant,
            account,
            parent.account_id,
            f"{_OURS} account {account}",
            AccountPolicy(),
            trace=call.trace,
            actor=call.principal.actor,
        )
        if isinstance(created, Refused):
            raise directory_refused(created, "name")
        entry, ticket = created
        answer_of(ticket, {"account": account})
        edge.remember(entry)
        self._parking.appeared(tenant, account)
        command = GrantMandate(
            edge.ledger.family(entry).request(request_id),
            entry.number,
            terms,
            Names("", request_id),
            call.trace,
            purchase,
        )
        given = {"account": account, "terms.asset": edge.assets.of(terms.asset).code}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        assert isinstance(answer.event, MandateGranted), answer.event
        return answer, entry

    async def _foresee(
        self, tenant: int, parent: Entry, terms: MandateTerms, purchase: PurchaseTerms | None
    ) -> None:
        """Ask the core before an id is claimed for an account that it would refuse."""
        command = CreateAccount(b"", tenant, 0, parent.number, parent.root, AccountPolicy())

        def look(state: State) -> object:
            opened = decide_create(state, command, [])
            if isinstance(opened, Refusal):
                return opened
            return refuse_mandate(state, state.accounts[parent.number], tenant, terms, purchase)

        found = await self._edge.writer(parent).look(look, (parent.number,))
        if isinstance(found, Refusal):
            raise refused(found, {"parent": parent.account_id})

    async def _buys_above(self, parent: Entry) -> PurchaseTerms | None:
        """What the nearest mandate from `parent` on upwards buys."""

        def look(state: State) -> PurchaseTerms | None:
            above = mandate_above(state.accounts.get(parent.number))
            return above.mandate.purchase if above is not None and above.mandate else None

        return await self._edge.writer(parent).look(look, (parent.number,))

    async def _may_grant(self, parent: Entry, call: Call) -> None:
        """Who only acts as an agent grants below a mandate alone. Raises AuthRefused."""
        if Scope.ADMIN in call.principal.scopes:
            return

        def is_bound(state: State) -> bool:
            account = state.accounts.get(parent.number)
            return mandate_above(account) is not None

        if not await self._edge.writer(parent).look(is_bound, (parent.number,)):
            require_scope(call.principal, frozenset({Scope.ADMIN}))

    def _signing(self) -> MandateKeys:
        if self._keys is None:
            raise CallFailed(
                "MANDATE_UNSIGNED",
                "this server has no key to sign and verify tokens of mandates by: start it with "
                "--mandate-key FILE (`drawdown token key FILE` makes one)",
            )
        return self._keys

    async def _view(self, entry: Entry, min_position: str = "") -> tuple[MandateView, int]:
        now_us = self._edge.now_us(entry.tenant)
        view, reached = await self._edge.writer(entry).read(
            lambda state: mandate_view(state, entry.number, now_us),
            minimum(min_position, entry.shard),
            (entry.number,),
        )
        if view is None:
            raise CallFailed(
                "MANDATE_UNKNOWN",
                "the account has no mandate: it is no agent's",
                field="account",
                value=entry.account_id,
            )
        return view, reached

    async def _shown(self, entry: Entry, min_position: str = "") -> tuple[pb.Mandate, int]:
        view, reached = await self._view(entry, min_position)
        names = await self._edge.names([view.account, view.parent])
        return render_mandate(self._edge.assets, view, names), reached
