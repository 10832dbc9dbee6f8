"""StatementService: statements drafted, closed and shown, from the read models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.api.answers import Answer, answer_of
from ledger.api.calls import Call
from ledger.api.closing_statements import StatementCloser
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.read_models import WAIT_S, behind
from ledger.api.rendering.render_statement import StatementRendering, accounts_of, form_of
from ledger.api.rolling_up import RollUps
from ledger.api.statement_page import as_page
from ledger.api.statement_tables import as_csv, as_json
from ledger.core.commands import EndStatement, Names, SetStatements
from ledger.core.events import StatementEnded, StatementForm, StatementsSet
from ledger.core.periods import billing_period
from ledger.core.state import State
from ledger.core.statements.statements import setting_of
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.statements.figures import Statement
from ledger.statements.reading import Ended, read
from ledger.v1 import statement_pb2 as pb
from rating.card import ATTRIBUTE_NAME_BYTES_MAX

_SETTABLE: Final = {int(each): each for each in StatementForm}
_FORMS: Final = {0: 0, 2: StatementForm.CONSOLIDATED, 3: StatementForm.SEPARATE}
_DOCUMENTS: Final[dict[int, tuple[str, Callable[[pb.Statement], bytes]]]] = {
    pb.STATEMENT_FORMAT_JSON: ("application/json", as_json),
    pb.STATEMENT_FORMAT_CSV: ("text/csv; charset=utf-8", as_csv),
    pb.STATEMENT_FORMAT_HTML: ("text/html; charset=utf-8", as_page),
}
_FORMATS: Final = {0: 0, **_DOCUMENTS}


class Period(NamedTuple):
    """A billing period of an account, and what is asked for of its statement."""

    start: int
    end: int
    form: int
    attribute: str
    ended_by: int  # the entry that ended the account's last statement; 0 = none has ended
    until: int  # the end of its period


class StatementService:
    """See ledger/v1/statement.proto."""

    def __init__(self, edge: Edge, history: History | None, closer: StatementCloser | None) -> None:
        """`history` None: there are no read models, and nothing is closed."""
        self._edge = edge
        self._history = history
        self._closer = closer
        self._roll_ups = RollUps(edge, history)

    async def set(
        self, request: pb.StatementServiceSetRequest, call: Call
    ) -> pb.StatementServiceSetResponse:
        """Have an account's statements closed by themselves, or no more."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("settings", request.HasField("settings"))
        check.one_of("settings.form", request.settings.form, _SETTABLE)
        check.text("settings.attribute", request.settings.attribute, ATTRIBUTE_NAME_BYTES_MAX)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = SetStatements(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            StatementForm(request.settings.form),
            request.settings.attribute,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        event = answer.event
        assert isinstance(event, StatementsSet), event
        settings = pb.StatementSettings(
            form=pb.StatementForm.ValueType(event.form),
            attribute=event.attribute,
            version=event.version,
        )
        return pb.StatementServiceSetResponse(
            settings=settings, position=answer.position, replayed=answer.replayed
        )

    async def draft(self, request: pb.DraftRequest, call: Call) -> pb.DraftResponse:
        """What the statement of a period says by now."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.instant("at_us", request.at_us)
        check.one_of("form", request.form, _FORMS)
        check.text("attribute", request.attribute, ATTRIBUTE_NAME_BYTES_MAX)
        check.one_of("format", request.format, _FORMATS)
        check.done()
        entry = await edge.account(tenant, request.account)
        now_us = edge.now_us(tenant)
        if request.at_us > now_us:
            raise CallFailed(
                "IN_FUTURE",
                f"at_us lies in the future: it is {now_us} now",
                field="at_us",
                value=str(request.at_us),
            )
        period = await self._period(entry, request.at_us or now_us)
        if period.end <= period.until:
            raise CallFailed(
                "STATEMENT_CLOSED",
                f"the statement of the period [{period.start}, {period.end}) takes nothing more; "
                "ask for it by its number",
                field="at_us",
                value=str(request.at_us),
            )
        least = max(minimum(request.min_position, entry.shard), period.ended_by + 1)
        history = await self._reached(entry, least)
        async with read(history.pool, entry.tenant, entry.shard, entry.number) as reading:
            form = form_of(request.form, period.form)
            statement = await reading.draft(
                await reading.ended(),
                period.start,
                period.end,
                consolidated=form == StatementForm.CONSOLIDATED,
                attribute=request.attribute or period.attribute,
            )
            entries = reading.standing.entries
        made = await self._render(entry, statement, None)
        return pb.DraftResponse(
            draft=made,
            document=_document(made, request.format),
            position=position_of(entry.shard, entries),
        )

    async def close(
        self, request: pb.StatementServiceCloseRequest, call: Call
    ) -> pb.StatementServiceCloseResponse:
        """End a period's statement, and freeze what it says."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.instant("start_us", request.start_us)
        check.instant("end_us", request.end_us)
        check.one_of("form", request.form, _FORMS)
        check.text("attribute", request.attribute, ATTRIBUTE_NAME_BYTES_MAX)
        check.one_of("format", request.format, _FORMATS)
        check.done()
        self._there()
        entry = await edge.account(tenant, request.account)
        command = EndStatement(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.start_us,
            request.end_us,
            request.form,
            request.attribute,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        event = answer.event
        assert isinstance(event, StatementEnded), event
        made = await self._closed(entry, event, answer)
        return pb.StatementServiceCloseResponse(
            statement=made,
            document=_document(made, request.format),
            position=answer.position,
            replayed=answer.replayed,
        )

    async def get(
        self, request: pb.StatementServiceGetRequest, call: Call
    ) -> pb.StatementServiceGetResponse:
        """A statement of an account by its number."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.between("statement", request.statement, 0)
        check.one_of("format", request.format, _FORMATS)
        check.done()
        entry = await edge.account(tenant, request.account)
        await self._reached(entry, minimum(request.min_position, entry.shard))
        made, entries = await self._shown(entry, request.statement)
        return pb.StatementServiceGetResponse(
            statement=made,
            document=_document(made, request.format),
            position=position_of(entry.shard, entries),
        )

    async def list(
        self, request: pb.StatementServiceListRequest, call: Call
    ) -> pb.StatementServiceListResponse:
        """An account's statements, the newest first."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"statements/{entry.number}"
        before = page_after(listing, request.page_token)
        history = await self._reached(entry, minimum(request.min_position, entry.shard))
        async with read(history.pool, entry.tenant, entry.shard, entry.number) as reading:
            ended = await reading.ended()
            entries = reading.standing.entries
        found = [each for each in reversed(ended) if not before or each.statement < before]
        shown = found[:size]
        await edge.assets.read(tenant)
        rendering = StatementRendering(edge.assets, entry.shard, {entry.number: entry.account_id})
        return pb.StatementServiceListResponse(
            statements=[rendering.summary(entry.number, each) for each in shown],
            settings=await self._settings(entry),
            next_page_token=page_token(listing, shown[-1].statement) if len(found) > size else "",
            position=position_of(entry.shard, entries),
        )

    async def roll_up(self, request: pb.RollUpRequest, call: Call) -> pb.RollUpResponse:
        """Balances and usage of an account, and of it with all below it."""
        return await self._roll_ups.roll_up(request)

    # -- parts -----------------------------------------------------------------------------------

    async def _period(self, entry: Entry, at: int) -> Period:
        """The period that holds an instant, as the account's statements count them."""

        def find(state: State) -> Period | None:
            account = state.accounts.get(entry.number)
            if account is None:
                return None
            said = account.statements
            number, until, ended_by = (
                (said.number, said.until, said.ended_by) if said is not None else (0, 0, 0)
            )
            start, end = billing_period(at, account.anchors, account.calendar)
            if start < until < end:  # another anchor or zone counts since
                start, end = (until, end) if at >= until else (start, until)
            setting = setting_of(account)
            form, attribute = (setting.form, setting.attribute) if setting is not None else (0, "")
            return Period(start, end, form, attribute, ended_by if number else 0, until)

        period, _ = await self._edge.writer(entry).read(find, accounts=(entry.number,))
        if period is None:
            raise _not_opened(entry)
        return period

    async def _settings(self, entry: Entry) -> pb.StatementSettings:
        def find(state: State) -> pb.StatementSettings:
            account = state.accounts.get(entry.number)
            said = account.statements if account is not None else None
            if said is None or not said.version:
                return pb.StatementSettings()
            return pb.StatementSettings(
                form=pb.StatementForm.ValueType(said.form),
                attribute=said.attribute,
                version=said.version,
            )

        return (await self._edge.writer(entry).read(find, accounts=(entry.number,)))[0]

    async def _closed(self, entry: Entry, event: StatementEnded, answer: Answer) -> pb.Statement:
        """A statement that has ended, once it is closed. Its end is recorded, whatever comes."""
        assert self._closer is not None
        await self._reached(entry, minimum(answer.position, entry.shard))
        await self._closer.close_of(entry.shard, entry.number, event.statement)
        _, reached = await self._edge.writer(entry).read(_nothing)
        await self._reached(entry, reached)
        made, _ = await self._shown(entry, event.statement)
        return made

    async def _shown(self, entry: Entry, statement: int) -> tuple[pb.Statement, int]:
        """A statement by its number, 0 = the newest, and the entries that the answer rests on."""
        async with read(self._there().pool, entry.tenant, entry.shard, entry.number) as reading:
            ended = await reading.ended()
            number = statement or len(ended)
            if not 0 < number <= len(ended):
                raise CallFailed(
                    "STATEMENT_UNKNOWN",
                    f"the account has {len(ended)} statements, numbered from 1"
                    if ended
                    else "no statement of the account has ended; ask for a draft",
                    field="statement",
                    value=str(statement),
                )
            figures = await reading.of(ended, number)
            entries = reading.standing.entries
        return await self._render(entry, figures, ended[number - 1]), entries

    async def _render(
        self, entry: Entry, statement: Statement, ended: Ended | None
    ) -> pb.Statement:
        names = await self._edge.names(accounts_of(statement))
        await self._edge.assets.read(entry.tenant)
        names[entry.number] = entry.account_id
        return StatementRendering(self._edge.assets, entry.shard, names).statement(statement, ended)

    def _there(self) -> History:
        if self._history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that it has no read models to make "
                "statements from",
            )
        return self._history

    async def _reached(self, entry: Entry, least: int) -> History:
        """The read models, once they are as far as is asked. Raises CallFailed."""
        history = self._there()
        if least:
            standing = await history.reach(entry.tenant, entry.shard, least, WAIT_S)
            if standing.entries < least:
                raise behind(
                    history,
                    entry.shard,
                    standing,
                    least,
                    "min_position",
                    str(least),
                    "send the same again",
                )
        return history


def _document(statement: pb.Statement, form: int) -> pb.StatementDocument | None:
    if not form:
        return None
    content_type, render = _DOCUMENTS[form]
    return pb.StatementDocument(content_type=content_type, content=render(statement))


def _nothing(_: State) -> None:
    """Only the position is asked for."""


def _not_opened(entry: Entry) -> CallFailed:
    return CallFailed(
        "ACCOUNT_UNKNOWN",
        "the account's opening is not recorded; send its Create again",
        field="account",
        value=entry.account_id,
    )
