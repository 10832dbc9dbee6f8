"""Deciding with whom a grant is shared, and how much of it each may draw (rules D1, D8).

Reads state, changes nothing; what a draw may take is for `caps` to say.
"""

from __future__ import annotations

from ledger.core.admission import account_closed, known_account, open_account
from ledger.core.commands import RemoveCap, SetCap, UpdateSharing
from ledger.core.events import (
    CapBegun,
    CapRemoved,
    CapSet,
    CapTerms,
    Event,
    SharingMode,
    SharingUpdated,
    Window,
    WindowKind,
)
from ledger.core.funding.caps import Cap, is_at_or_below, unreserved
from ledger.core.limits import (
    CAPS_OF_AN_ACCOUNT_MAX,
    CAPS_ON_AN_ACCOUNT_MAX,
    INT64_MAX,
    LABEL_MAX,
    LABELS_MAX,
    SHARED_WITH_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import GRANT_OPEN, Account, Grant, State
from ledger.core.windows import Counter, Span, span_at, window_fault


def decide_sharing(
    state: State, command: UpdateSharing, out: list[Event]
) -> Event | Known | Refusal:
    """Share a grant with all, none, those listed or those that match, from now on."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    grant = _grant_of(state, account, command.grant, "grant_id")
    if isinstance(grant, Refusal):
        return grant
    if command.expected_version and command.expected_version != grant.sharing_version:
        return _other_version(grant.sharing_version, command.expected_version)
    refusal = _invalid_sharing(state, account, command)
    if refusal is not None:
        return refusal
    updated = SharingUpdated(
        command.key,
        account.number,
        grant.number,
        command.sharing,
        grant.sharing_version + 1,
        _alike(grant),
        command.expected_version,
        command.trace,
    )
    out.append(updated)
    return updated


def _alike(grant: Grant) -> tuple[int, ...]:
    """The other grants that were issued with it, and have not ended."""
    return tuple(
        [
            each.number
            for each in grant.account.grants
            if each is not grant
            and each.settled == GRANT_OPEN
            and (
                (grant.commitment is not None and each.commitment is grant.commitment)
                or (grant.recurring > 0 and each.recurring == grant.recurring)
            )
        ]
    )


def _invalid_sharing(state: State, account: Account, command: UpdateSharing) -> Refusal | None:
    sharing = command.sharing
    if state.grants[command.grant].seat is not None:
        return Refusal(
            Reason.SHARING_INVALID,
            "grant_id",
            str(command.grant),
            "only its seat draws this grant; share a grant of the account, or a pool of seats",
        )
    if sharing.mode not in SharingMode.__members__.values():
        return _sharing_invalid("mode", str(sharing.mode), "name one of the modes")
    listed, matching = sharing.mode == SharingMode.LISTED, sharing.mode == SharingMode.MATCHING
    if bool(sharing.accounts) != listed:
        message = "name accounts where it is shared with those listed, and only there"
        return _sharing_invalid("accounts", str(len(sharing.accounts)), message)
    if bool(sharing.labels) != matching:
        message = "name labels where it is shared with those that match, and only there"
        return _sharing_invalid("labels", str(len(sharing.labels)), message)
    named = len(sharing.accounts) + len(sharing.labels)
    if named > SHARED_WITH_MAX:
        message = f"a grant is shared with at most {SHARED_WITH_MAX} accounts or labels by name"
        return _sharing_invalid("accounts" if listed else "labels", str(named), message)
    fault = labels_fault(sharing.labels, SHARED_WITH_MAX)
    if fault:
        return _sharing_invalid("labels", ", ".join(sharing.labels), fault)
    if len(set(sharing.accounts)) < len(sharing.accounts):
        return _sharing_invalid("accounts", str(named), "name each account once")
    for number in sharing.accounts:
        refusal = _not_below(state, account, number, "sharing.accounts")
        if refusal is not None:
            return refusal
    return None


def _sharing_invalid(field: str, value: str, message: str) -> Refusal:
    return Refusal(Reason.SHARING_INVALID, f"sharing.{field}", value, message)


def labels_fault(labels: tuple[str, ...], most: int = LABELS_MAX) -> str:
    """Why these are no labels, if they are none."""
    if len(labels) > most:
        return f"there are at most {most} labels"
    if len(set(labels)) < len(labels):
        return "name each label once"
    for label in labels:
        if not 1 <= len(label) <= LABEL_MAX or not label.isprintable() or label != label.strip():
            return f"a label has from 1 to {LABEL_MAX} printable characters, no space at its ends"
    return ""


def decide_set_cap(state: State, command: SetCap, out: list[Event]) -> Event | Known | Refusal:
    """Set a new cap, or another limit and reserve of one that stands."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    before: Cap | None = None
    if command.cap:
        before = account.caps_given.get(command.cap)
        if before is None:
            return _unknown_cap(command.cap)
        if command.expected_version and command.expected_version != before.version:
            return _other_version(before.version, command.expected_version)
        grant, below, asset = before.grant, before.below, before.asset
        refusal = _fixed(before, command)
        if refusal is not None:
            return refusal
    else:
        found = _new(state, account, command)
        if isinstance(found, Refusal):
            return found
        grant, below = found
        asset = command.asset or (grant.asset if grant is not None else 0)
    refusal = _invalid_terms(command.terms, grant) or _over_reserved(
        account, below, grant, command.terms, before
    )
    if refusal is not None:
        return refusal
    made = (CapSet if before is not None else CapBegun)(
        command.key,
        account.number,
        command.cap or state.families[account.root].next_cap,
        below.number,
        asset,
        grant.number if grant is not None else 0,
        command.terms,
        before.version + 1 if before is not None else 1,
        _spans(state, account, below, command.terms) if before is None else (),
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def _new(state: State, account: Account, command: SetCap) -> tuple[Grant | None, Account] | Refusal:
    """Of which grant, and on whom, a new cap is."""
    refusal = _not_below(state, account, command.below, "cap.below")
    if refusal is not None:
        return refusal
    below = state.accounts[command.below]
    if below.closed_at:
        return account_closed(below)
    grant: Grant | None = None
    if command.grant:
        found = _grant_of(state, account, command.grant, "cap.grant_id")
        if isinstance(found, Refusal):
            return found
        grant = found
        if command.asset not in (0, grant.asset):
            message = "the grant is of another asset; name none, or that of the grant"
            return Refusal(Reason.CAP_INVALID, "cap.asset", str(command.asset), message)
    else:
        asset = state.catalog.assets.get(command.asset)
        if asset is None or asset.tenant != account.tenant:
            message = "the tenant has no such asset; create it first"
            return Refusal(Reason.ASSET_UNKNOWN, "cap.asset", str(command.asset), message)
    if len(below.caps) >= CAPS_ON_AN_ACCOUNT_MAX:
        message = f"an account has at most {CAPS_ON_AN_ACCOUNT_MAX} caps; remove some"
        return Refusal(Reason.CAPS_LIMIT, "cap.below", str(len(below.caps)), message)
    if len(account.caps_given) >= CAPS_OF_AN_ACCOUNT_MAX:
        message = f"an account sets at most {CAPS_OF_AN_ACCOUNT_MAX} caps on those below it"
        return Refusal(Reason.CAPS_LIMIT, "cap.account", str(len(account.caps_given)), message)
    return grant, below


def _fixed(cap: Cap, command: SetCap) -> Refusal | None:
    """What a cap is of, and its window, do not change: its counter would mean something else."""
    grant = cap.grant.number if cap.grant is not None else 0
    for field, given, stands in (
        ("below", command.below or cap.below.number, cap.below.number),
        ("asset", command.asset or cap.asset, cap.asset),
        ("grant_id", command.grant or grant, grant),
        ("window", command.terms.window, cap.terms.window),
    ):
        if given != stands:
            message = f"the {field} of a cap is fixed; remove it and set another"
            value = given.kind.name if isinstance(given, Window) else str(given)
            return Refusal(Reason.CAP_INVALID, f"cap.{field}", value, message)
    return None


def _invalid_terms(terms: CapTerms, grant: Grant | None) -> Refusal | None:
    fault = window_fault(terms.window)
    if fault is not None:
        return Refusal(Reason.CAP_INVALID, f"cap.{fault.field}", fault.value, fault.message)
    if not -1 <= terms.limit <= INT64_MAX:
        message = "a limit is from 0 to 2^63 - 1, or absent"
        return Refusal(Reason.CAP_INVALID, "cap.limit", str(terms.limit), message)
    part = (terms.numerator, terms.denominator)
    if part != (0, 0) and not 0 <= terms.numerator <= terms.denominator <= INT64_MAX:
        message = "a fraction is from 0 to 1: numerator / denominator, the latter above 0"
        return Refusal(Reason.CAP_INVALID, "cap.fraction", f"{part[0]}/{part[1]}", message)
    if terms.denominator and terms.limit >= 0:
        message = "a cap is a limit or a fraction; give one of the two"
        return Refusal(Reason.CAP_INVALID, "cap.limit", str(terms.limit), message)
    if not 0 <= terms.reserved <= INT64_MAX:
        message = "a reserve is from 0 to 2^63 - 1"
        return Refusal(Reason.CAP_INVALID, "cap.reserved", str(terms.reserved), message)
    if terms.reserved and (grant is None or terms.window.kind != WindowKind.LIFETIME):
        message = "units of one grant are reserved, in total: name it, and no window"
        return Refusal(Reason.CAP_INVALID, "cap.reserved", str(terms.reserved), message)
    if terms.limit < 0 and not terms.denominator and not terms.reserved:
        message = "give a limit, a fraction or a reserve"
        return Refusal(Reason.CAP_INVALID, "cap.limit", str(terms.limit), message)
    if terms.reserved > terms.limit >= 0:
        message = "no more is reserved than the limit lets the account draw"
        return Refusal(Reason.CAP_INVALID, "cap.reserved", str(terms.reserved), message)
    if terms.reserved and grant is not None and terms.denominator:
        most = grant.amount * terms.numerator // terms.denominator
        if terms.reserved > most:
            message = f"no more is reserved than the fraction lets the account draw: {most} units"
            return Refusal(Reason.CAP_INVALID, "cap.reserved", str(terms.reserved), message)
    return None


def _over_reserved(
    owner: Account, below: Account, grant: Grant | None, terms: CapTerms, before: Cap | None
) -> Refusal | None:
    """Whether more is set aside than is there; and whether two reserves count one draw."""
    if terms.reserved == 0 or grant is None:
        return None
    drawn = 0
    if before is not None:
        drawn = before.counter.posted + before.counter.pending
        drawn = max(0, drawn) if before.since else drawn
    wanted = max(0, terms.reserved - drawn)
    free = unreserved(grant, owner) + (before.aside if before is not None else 0)
    if grant.settled != GRANT_OPEN or wanted > free:
        return Refusal(
            Reason.RESERVE_EXCEEDS,
            "cap.reserved",
            str(terms.reserved),
            f"{max(0, free)} units of the grant are there and not set aside for others; reserve "
            "at most that",
        )
    for cap in owner.caps_given.values():
        if cap is before or cap.grant is not grant or not cap.terms.reserved:
            continue
        if is_at_or_below(cap.below, below) or is_at_or_below(below, cap.below):
            return Refusal(
                Reason.CAP_INVALID,
                "cap_id",
                str(cap.number),
                "this cap reserves units of the grant for the account, or for one above or below "
                "it; set that one",
            )
    return None


def _spans(state: State, owner: Account, below: Account, terms: CapTerms) -> tuple[Span, ...]:
    """The windows that holds count in by now, in order of time."""
    if terms.window.kind == WindowKind.LIFETIME:
        return ()
    times = {hold.counted_at for hold in owner.lent.values() if is_at_or_below(hold.account, below)}
    counter = Counter()
    spans: list[Span] = []
    for at in sorted(times):
        since, end = span_at(terms.window, counter, at, state.now, owner.anchors, owner.calendar)
        if end and (since, end) not in spans:
            spans.append((since, end))
            counter.count(terms.window, since, end, 0, 0, state.now)
    return tuple(spans)


def refuse_moved_caps(account: Account, before: Account, parent: Account) -> Refusal | None:
    """Whether a move would leave a cap without the account that set it above, or what holds reserve
    counted where it is not looked for."""
    new = _line(parent)
    old = _line(before)
    for each in account.below():
        for cap in each.caps:
            if cap.owner in old and cap.owner not in new:
                return _caps_stand(cap, "remove it first, and set it there")
        for hold in each.holds.values():
            for piece in hold.slices:
                for node in (*old, *new):
                    for cap in node.caps:
                        if piece.book in _books_of(cap):
                            return _caps_stand(cap, "settle holds that draw on what it is of first")
    return None


def _caps_stand(cap: Cap, message: str) -> Refusal:
    return Refusal(
        Reason.CAPS_STAND,
        "parent",
        str(cap.number),
        f"this cap of an account above would count otherwise from then on; {message}",
    )


def _books_of(cap: Cap) -> set[int]:
    return {grant.book.number for grant in cap.owner.grants if cap.binds(grant)}


def _line(account: Account) -> list[Account]:
    """An account and those above it."""
    line = [account]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line


def decide_remove_cap(
    state: State, command: RemoveCap, out: list[Event]
) -> Event | Known | Refusal:
    """Let a cap bind no more; also of an account that is closed."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    cap = account.caps_given.get(command.cap)
    if cap is None:
        return _unknown_cap(command.cap)
    if command.expected_version and command.expected_version != cap.version:
        return _other_version(cap.version, command.expected_version)
    removed = CapRemoved(
        command.key, account.number, cap.number, command.expected_version, command.trace
    )
    out.append(removed)
    return removed


def _grant_of(state: State, account: Account, number: int, field: str) -> Grant | Refusal:
    """A grant of the account that has not ended."""
    grant = state.grants.get(number)
    if grant is None or grant.account is not account:
        message = "the account has no such grant"
        return Refusal(Reason.GRANT_UNKNOWN, field, str(number), message)
    if grant.settled != GRANT_OPEN:
        message = "the grant has ended; name one that runs"
        return Refusal(Reason.GRANT_SETTLED, field, str(number), message)
    return grant


def _not_below(state: State, account: Account, number: int, field: str) -> Refusal | None:
    below = state.accounts.get(number)
    if below is not None and below is not account and is_at_or_below(below, account):
        return None
    message = "the account is not below the one that shares: name one of its subtree"
    return Refusal(Reason.NOT_BELOW, field, str(number), message)


def _unknown_cap(number: int) -> Refusal:
    message = "the account has set no such cap"
    return Refusal(Reason.CAP_UNKNOWN, "cap_id", str(number), message)


def _other_version(version: int, expected: int) -> Refusal:
    return Refusal(
        Reason.VERSION_MISMATCH,
        "expected_version",
        str(version),
        f"it is at version {version}, not {expected}; read it again",
    )
