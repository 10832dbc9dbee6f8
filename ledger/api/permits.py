"""What a proven principal may do: scope, tenant, and the accounts that it covers with all below.

Which account is below which is asked of the state of the account's family, as its writer has it, so
a move counts from its own entry on. A token covers an account by its own id; what an alias means is
looked up first, so an alias of an account outside is outside. Whoever may not see an account does
not learn whether it exists: both are NOT_PERMITTED.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ledger.api.edge import Edge
from ledger.auth.principal import ALL_TENANTS, Principal, Scope
from ledger.auth.refusals import AuthRefused, Denied
from ledger.core.state import State
from ledger.engine.ticket import NotOwner
from ledger.engine.writer import RETRY_AFTER_US
from ledger.journal.directory import Entry

NOBODY: Final[frozenset[int]] = frozenset()


class Permits:
    """Answers for one process. Raises NotOwner where another one has to answer."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def permit(
        self, principal: Principal, scope: Scope, tenant: str, account: str = ""
    ) -> None:
        """Let a principal do something to an account by its id or alias, "" = the whole tenant.

        Raises AuthRefused; CallFailed TENANT_UNKNOWN; NotOwner where the account's place in its
        family decides, and another server has it.
        """
        require_scope(principal, frozenset({scope}))
        require_tenant(principal, tenant)
        if not principal.accounts:
            return
        if not account:
            raise whole_tenant_needed(principal)
        await self.named(principal, await self._edge.tenant(tenant), account, "account")

    async def named(
        self, principal: Principal, tenant: int, name: str, field: str, *, family: bool = False
    ) -> None:
        """The account that this id or alias means, or all of its `family`, is covered."""
        entry = await self._edge.ledger.resolve(tenant, name)
        if entry is None or not await self.covers(principal, entry, family=family):
            raise not_permitted(field, name, family=family)

    async def covers(self, principal: Principal, entry: Entry, *, family: bool = False) -> bool:
        """Whether the account is one that the principal names, or below one. Raises NotOwner."""
        if not principal.accounts:
            return True
        own = await self._own(principal, entry.tenant)
        if entry.root in own:
            return True
        if family:
            return False
        if entry.number in own:
            return True
        if entry.root not in own.values():
            return False
        return not own.keys().isdisjoint(await self._line(entry.shard, entry.number))

    async def covers_numbers(
        self, principal: Principal, tenant: int, shard: int, numbers: Iterable[int]
    ) -> frozenset[int]:
        """Those of the accounts of a shard that the principal covers. Raises NotOwner."""
        if not principal.accounts:
            return frozenset(numbers)
        own = (await self._own(principal, tenant)).keys()
        return frozenset(
            [
                number
                for number in numbers
                if number in own or not own.isdisjoint(await self._line(shard, number))
            ]
        )

    async def _own(self, principal: Principal, tenant: int) -> dict[int, int]:
        """The accounts that a principal names: number -> root of its family."""
        found: dict[int, int] = {}
        base, number = principal.rests_on
        if number:
            entry = await self._edge.ledger.resolve(tenant, base)
            if entry is None or entry.number != number:
                return found  # the account was erased, and its id may be another's by now
        for name in principal.accounts:
            entry = await self._edge.ledger.resolve(tenant, name)
            if entry is not None and entry.account_id == name:
                found[entry.number] = entry.root
        return found

    async def _line(self, shard: int, number: int) -> frozenset[int]:
        """The account and all above it; nothing where it is not in the journal."""
        writer = self._edge.ledger.writers[shard]
        if not self._edge.ledger.shards.owns(shard):
            raise NotOwner(shard, RETRY_AFTER_US)
        state = writer.state
        if number in state.accounts:
            return _line_in(state, number)
        line, _ = await writer.read(lambda state: _line_in(state, number), 0, (number,))
        return line


def require_scope(principal: Principal, scopes: frozenset[Scope]) -> None:
    """Raises AuthRefused where a principal has none of these scopes."""
    if principal.scopes.isdisjoint(scopes):
        needed = " or ".join(sorted(scopes))
        message = (
            f"this needs the scope {needed}, which the caller does not have: `drawdown token issue "
            f"--scope {min(scopes)}` makes a key that does"
        )
        raise AuthRefused(Denied.SCOPE_MISSING, message, field="scope", value=needed)


def require_tenant(principal: Principal, tenant: str) -> None:
    """Raises AuthRefused where a principal is of another tenant."""
    if principal.tenant not in (tenant, ALL_TENANTS):
        raise tenant_differs(tenant)


def tenant_differs(tenant: str) -> AuthRefused:
    """Whoever calls is of another tenant."""
    message = "the caller may act for another tenant alone: name that, or use a token of this one"
    return AuthRefused(Denied.TENANT_NOT_PERMITTED, message, field="tenant", value=tenant)


def whole_tenant_needed(principal: Principal) -> AuthRefused:
    """The call concerns a whole tenant, and the principal names accounts."""
    return AuthRefused(
        Denied.WHOLE_TENANT_NEEDED,
        "this concerns the whole tenant, and the caller may act for "
        f"{len(principal.accounts)} accounts of it: name an account that is covered, or use a "
        "token without accounts",
    )


def not_permitted(field: str, value: str, *, family: bool = False) -> AuthRefused:
    """The account is not covered, or is not there."""
    what = "the whole family of this account" if family else "this account"
    return AuthRefused(
        Denied.NOT_PERMITTED,
        f"the caller may not act for {what}, or there is none of this name",
        field=field,
        value=value,
    )


def _line_in(state: State, number: int) -> frozenset[int]:
    account = state.accounts.get(number)
    return NOBODY if account is None else frozenset([each.number for each in account.line()])
