"""TopUpService: what accounts buy by themselves, and how the charges come out."""

from __future__ import annotations

from typing import Final

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import GRANT, TOP_UP, mint
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_top_up import TopUpView, render_rule, render_top_up, top_up_view
from ledger.api.requests import asset_number
from ledger.core.commands import (
    Command,
    ConfirmTopUp,
    DeclineTopUp,
    Names,
    RemoveTopUpRule,
    SetTopUpRule,
)
from ledger.core.events import TopUpConfirmed, TopUpDeclined, TopUpRule, TopUpRuleSet
from ledger.core.limits import DAY_US, ID_BYTES_MAX, TOP_UP_BACK_OFF_US
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import top_up_pb2 as pb

_STATES: Final = {int(value): value for value in pb.TopUpState.values()}


class TopUpService:
    """See ledger/v1/top_up.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def set_rule(
        self, request: pb.TopUpServiceSetRuleRequest, call: Call
    ) -> pb.TopUpServiceSetRuleResponse:
        """Give an account a rule for an asset, or another one."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.given("rule", request.HasField("rule"))
        if request.HasField("rule"):
            rule = request.rule
            check.ids(**{"rule.asset": rule.asset, "rule.price_asset": rule.price_asset})
            check.text("rule.source", rule.source, ID_BYTES_MAX)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = SetTopUpRule(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            self._rule(request.rule, entry),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {
            "account": request.account,
            "rule.asset": request.rule.asset,
            "rule.price_asset": request.rule.price_asset,
        }
        answer = await self._ask(call, entry, command, given)
        event = answer.event
        assert isinstance(event, TopUpRuleSet), event
        with rendering(answer.position):
            rendered = render_rule(edge.assets, event.rule, event.version)
        return pb.TopUpServiceSetRuleResponse(
            rule=rendered, position=answer.position, replayed=answer.replayed
        )

    async def remove_rule(
        self, request: pb.TopUpServiceRemoveRuleRequest, call: Call
    ) -> pb.TopUpServiceRemoveRuleResponse:
        """Remove the rule of an asset."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, asset=request.asset)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = RemoveTopUpRule(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            asset_number(edge.assets, "asset", request.asset, entry),
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account, "asset": request.asset}
        answer = await self._ask(call, entry, command, given)
        return pb.TopUpServiceRemoveRuleResponse(position=answer.position, replayed=answer.replayed)

    async def get_rules(
        self, request: pb.TopUpServiceGetRulesRequest, call: Call
    ) -> pb.TopUpServiceGetRulesResponse:
        """The rules of an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)

        def rules(state: State) -> list[tuple[int, TopUpRule]]:
            account = state.accounts.get(entry.number)
            kept = account.top_up_rules if account is not None else {}
            return [(version, rule) for _, (version, rule) in sorted(kept.items()) if rule]

        found, reached = await edge.writer(entry).read(
            rules, minimum(request.min_position, entry.shard), (entry.number,)
        )
        return pb.TopUpServiceGetRulesResponse(
            rules=[render_rule(edge.assets, rule, version) for version, rule in found],
            position=position_of(entry.shard, reached),
        )

    async def list(
        self, request: pb.TopUpServiceListRequest, call: Call
    ) -> pb.TopUpServiceListResponse:
        """The charges of an account in the order asked for."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.one_of("state", request.state, _STATES)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"top_ups/{entry.number}/{request.state}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> list[TopUpView]:
            account = state.accounts.get(entry.number)
            kept = account.top_ups if account is not None else {}
            found = [
                top_up_view(kept[number])
                for number in sorted(kept)
                if number > after
                and kept[number].remembered(state.settled_before)
                and request.state in (0, kept[number].state)
            ]
            return found[: size + 1]

        views, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        shown = views[:size]
        return pb.TopUpServiceListResponse(
            top_ups=[render_top_up(edge.assets, view, entry) for view in shown],
            next_page_token=page_token(listing, shown[-1].number) if len(views) > size else "",
            position=position_of(entry.shard, reached),
        )

    async def get(
        self, request: pb.TopUpServiceGetRequest, call: Call
    ) -> pb.TopUpServiceGetResponse:
        """One charge."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, TOP_UP, request.top_up_id)

        def find(state: State) -> TopUpView | None:
            found = state.top_ups.get(minted.number)
            if found is None or found.account.number != entry.number:
                return None
            return top_up_view(found) if found.remembered(state.settled_before) else None

        view, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        if view is None:
            raise CallFailed(
                "TOP_UP_UNKNOWN",
                "the account has no such top-up, or it was requested more than 35 days ago",
                field="top_up_id",
                value=request.top_up_id,
            )
        return pb.TopUpServiceGetResponse(
            top_up=render_top_up(edge.assets, view, entry),
            position=position_of(entry.shard, reached),
        )

    async def confirm(
        self, request: pb.TopUpServiceConfirmRequest, call: Call
    ) -> pb.TopUpServiceConfirmResponse:
        """The charge was made: issue its units."""
        entry, number, key = await self._meant(request)
        names = Names("", request.request_id)
        command = ConfirmTopUp(key, entry.number, number, names, call.trace)
        answer = await self._ask(call, entry, command, {"top_up_id": request.top_up_id})
        event = answer.event
        assert isinstance(event, TopUpConfirmed), event
        return pb.TopUpServiceConfirmResponse(
            grant_id=mint(GRANT, entry.shard, event.account, event.grant),
            position=answer.position,
            replayed=answer.replayed,
        )

    async def decline(
        self, request: pb.TopUpServiceDeclineRequest, call: Call
    ) -> pb.TopUpServiceDeclineResponse:
        """The charge was refused: wait."""
        entry, number, key = await self._meant(request)
        names = Names("", request.request_id)
        command = DeclineTopUp(key, entry.number, number, names, call.trace)
        answer = await self._ask(call, entry, command, {"top_up_id": request.top_up_id})
        assert isinstance(answer.event, TopUpDeclined), answer.event
        return pb.TopUpServiceDeclineResponse(
            next_at_us=answer.recorded_at_us + TOP_UP_BACK_OFF_US,
            position=answer.position,
            replayed=answer.replayed,
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _meant(
        self, request: pb.TopUpServiceConfirmRequest | pb.TopUpServiceDeclineRequest
    ) -> tuple[Entry, int, bytes]:
        """The account, the charge's number, and the identity of the call."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        minted, entry = await edge.minted(tenant, TOP_UP, request.top_up_id)
        return entry, minted.number, edge.ledger.family(entry).request(request.request_id)

    async def _ask(
        self, call: Call, entry: Entry, command: Command, given: dict[str, str]
    ) -> Answer:
        return answer_of(await call.submit(self._edge.ledger, entry, command), given)

    def _rule(self, rule: pb.TopUpRule, entry: Entry) -> TopUpRule:
        assets = self._edge.assets
        return TopUpRule(
            asset_number(assets, "rule.asset", rule.asset, entry),
            rule.threshold,
            rule.target,
            rule.amount,
            rule.price_numerator,
            rule.price_denominator or 1,
            asset_number(assets, "rule.price_asset", rule.price_asset, entry),
            rule.source,
            rule.requests_max or 1,
            rule.window_us or DAY_US,
            not rule.disabled,
        )
