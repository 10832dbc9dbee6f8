"""AccountService: accounts, their policies, their other names, and their erasure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from ledger.api.aliases import Aliases
from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.erasing import Eraser
from ledger.api.errors import CallFailed, directory_refused, refused
from ledger.api.forward import Forwarder
from ledger.api.forward_all import gather_parts
from ledger.api.intake.parking import Parking
from ledger.api.limits import DISPLAY_NAME_BYTES_MAX, Checked
from ledger.api.positions import decode_position, encode_position, minimum, position_of
from ledger.api.rendering.render_account import (
    AccountView,
    account_view,
    policy_of,
    render_account,
)
from ledger.api.standing import StandingCalls
from ledger.core.accounts.accounts import decide_create
from ledger.core.commands import CreateAccount, Names, UpdatePolicy
from ledger.core.events import AccountCreated, AccountPolicy, AccountPolicyUpdated
from ledger.core.outcomes import Refusal
from ledger.core.state import State
from ledger.engine.ticket import NotOwner
from ledger.journal.directory import (
    AccountProfile,
    Entry,
    Reason,
    Refused,
    family_shard,
)
from ledger.v1 import account_pb2 as pb

LIST_METHOD: Final = f"{pb.DESCRIPTOR.services_by_name['AccountService'].full_name}/List"


class AccountService(Aliases, StandingCalls):
    """See ledger/v1/account.proto."""

    def __init__(self, edge: Edge, parking: Parking, eraser: Eraser, forwarder: Forwarder) -> None:
        super().__init__(edge, parking)
        self._eraser = eraser
        self._forwarder = forwarder

    # -- accounts --------------------------------------------------------------------------------

    async def create(
        self, request: pb.AccountServiceCreateRequest, call: Call
    ) -> pb.AccountServiceCreateResponse:
        """Open an account. What can be refused is refused before the id is claimed."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, account=request.account)
        check.optional(parent=request.parent)
        check.text("display_name", request.display_name, DISPLAY_NAME_BYTES_MAX)
        check.attributes("metadata", request.metadata)
        check.done()
        parent = await self._parent(tenant, request.parent) if request.parent else None
        shard = (
            parent.shard
            if parent is not None
            else family_shard(request.tenant, request.account, edge.ledger.directory.shards)
        )
        policy = policy_of(edge.assets, tenant, shard, request.policy)
        if parent is not None and await edge.ledger.resolve(tenant, request.account) is None:
            await self._foresee(tenant, parent, policy)
        created = await edge.ledger.create_account(
            tenant,
            request.account,
            request.parent,
            request.request_id,
            policy,
            request.display_name,
            dict(request.metadata),
            call.trace,
            call.principal.actor,
        )
        call.recorded = True
        if isinstance(created, Refused):
            parent_is_wrong = created.reason in (Reason.PARENT_UNKNOWN, Reason.PARENT_DIFFERS)
            raise directory_refused(created, "parent" if parent_is_wrong else "account")
        entry, ticket = created
        given = {"account": request.account, "parent": request.parent}
        answer = answer_of(ticket, given)
        event = answer.event
        assert isinstance(event, AccountCreated), event
        edge.remember(entry)
        self._parking.appeared(tenant, request.account)
        view = AccountView(event.policy, 1, answer.recorded_at_us)
        with rendering(answer.position):
            account = await self._render(entry, view)
        return pb.AccountServiceCreateResponse(
            account=account,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def _foresee(self, tenant: int, parent: Entry, policy: AccountPolicy) -> None:
        """Ask the core before an id is claimed for an account that it would refuse."""
        command = CreateAccount(b"", tenant, 0, parent.number, parent.root, policy)
        found = await self._edge.writer(parent).look(
            lambda state: decide_create(state, command, []), (parent.number,)
        )
        if isinstance(found, Refusal):
            raise refused(found)

    async def get(
        self, request: pb.AccountServiceGetRequest, call: Call
    ) -> pb.AccountServiceGetResponse:
        """Show one account; an erased one by its pseudonym."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        erased: AccountProfile | None = None
        try:
            entry = await edge.account(tenant, request.account)
        except CallFailed as failure:
            found = await edge.ledger.directory.get_account(tenant, request.account, erased=True)
            if isinstance(found, Refused) or not found.erased_at_us:
                raise failure from None
            erased, entry = found, found.entry
        view, reached = await self._view(entry, minimum(request.min_position, entry.shard))
        account = await (
            self._render(entry, view) if erased is None else self._rendered(erased, view)
        )
        return pb.AccountServiceGetResponse(
            account=account, position=position_of(entry.shard, reached)
        )

    async def list(
        self, request: pb.AccountServiceListRequest, call: Call
    ) -> pb.AccountServiceListResponse:
        """Accounts by id; those whose opening is not recorded (yet) are left out."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(parent=request.parent)
        size = check.page_size(request.page_size)
        check.done()
        page = await edge.ledger.directory.list_accounts(
            tenant, request.parent or None, size, request.page_token
        )
        if isinstance(page, Refused):
            field = "page_token" if page.reason == Reason.PAGE_INVALID else "parent"
            raise directory_refused(page, field)
        views, reached = await self._views(page.accounts, request.min_position)
        elsewhere = await self._elsewhere(page.accounts, reached, request, call)
        numbers = {profile.entry.root for profile in page.accounts}
        numbers |= {view.freeze.account for view in views.values() if view.freeze is not None}
        names = await edge.names(numbers)
        response = pb.AccountServiceListResponse(
            next_page_token=page.next_page_token, position=encode_position(reached)
        )
        for profile in page.accounts:
            view = views.get(profile.entry.number)
            if view is not None:
                current = await self._current(profile, view)
                response.accounts.append(render_account(edge.assets, current, names, view))
            elif (there := elsewhere.get(profile.entry.account_id)) is not None:
                response.accounts.append(there)
        return response

    async def update_policy(
        self, request: pb.UpdatePolicyRequest, call: Call
    ) -> pb.UpdatePolicyResponse:
        """Replace a policy."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("policy", request.HasField("policy"))
        check.between("expected_version", request.expected_version, 1)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = UpdatePolicy(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            policy_of(edge.assets, tenant, entry.shard, request.policy),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        event = answer.event
        assert isinstance(event, AccountPolicyUpdated), event
        with rendering(answer.position):
            view, _ = await self._view(entry)
            view = view._replace(policy=event.policy, version=event.version)
            account = await self._render(entry, view)
        return pb.UpdatePolicyResponse(
            account=account,
            position=answer.position,
            replayed=answer.replayed,
        )

    # -- erasure ---------------------------------------------------------------------------------

    async def erase(
        self, request: pb.AccountServiceEraseRequest, call: Call
    ) -> pb.AccountServiceEraseResponse:
        """Forget the person: names at once, what stands beside the journal right after."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        entry = await edge.own_account(tenant, request.account)
        edge.writer(entry)  # its owner erases, whose caches know the account
        erased = await edge.ledger.directory.erase(tenant, request.account)
        if isinstance(erased, Refused):
            raise directory_refused(erased, "account")
        edge.forget(entry)
        self._eraser.go_on()
        return pb.AccountServiceEraseResponse(
            erased_at_us=edge.ledger.clock.now_us(),
            position=self._durable(entry),
            pseudonym=erased.pseudonym,
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _views(
        self, profiles: Sequence[AccountProfile], min_position: str
    ) -> tuple[dict[int, AccountView], dict[int, int]]:
        """Views by account number, and the positions that they are as of; of our shards alone."""
        wanted: dict[int, list[int]] = {}
        for profile in profiles:
            wanted.setdefault(profile.entry.shard, []).append(profile.entry.number)
        least = decode_position(min_position)
        views: dict[int, AccountView] = {}
        reached: dict[int, int] = {}
        for shard, numbers in wanted.items():
            try:
                found, reached[shard] = await self._edge.ledger.writers[shard].read(
                    partial(_views_of, numbers=numbers), least.get(shard, 0), numbers
                )
            except NotOwner:
                continue
            views.update(found)
        return views, reached

    async def _elsewhere(
        self,
        profiles: Sequence[AccountProfile],
        reached: dict[int, int],
        request: pb.AccountServiceListRequest,
        call: Call,
    ) -> dict[str, pb.Account]:
        """The accounts of other processes' shards, by id; `reached` learns their positions."""
        missing = {profile.entry.shard for profile in profiles} - reached.keys()
        if not missing or call.forwarded:
            return {}
        parts = await gather_parts(
            self._forwarder,
            LIST_METHOD,
            request,
            pb.AccountServiceListResponse,
            call.hop,
            missing,
            lambda part: set(decode_position(part.position)),
        )
        found: dict[str, pb.Account] = {}
        for part in parts:
            reached.update(decode_position(part.position))
            found.update({account.account: account for account in part.accounts})
        return found


def _views_of(state: State, numbers: Sequence[int]) -> dict[int, AccountView]:
    found = ((number, account_view(state, number)) for number in numbers)
    return {number: view for number, view in found if view is not None}
