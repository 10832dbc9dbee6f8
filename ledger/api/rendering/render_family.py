"""Sharing and caps as messages: terms from what was recorded, what is counted from the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import CAP, GRANT, mint
from ledger.api.rendering.render_budget import render_window
from ledger.core.events import CapTerms, Sharing, SharingMode
from ledger.core.funding.caps import Cap
from ledger.core.state import Grant
from ledger.core.windows import showing
from ledger.v1 import family_pb2 as pb


class CapView(NamedTuple):
    """What a cap's message needs, taken at one position or from its entry."""

    number: int
    account: int
    below: int
    asset: int
    grant: int  # 0 = all that the account shares
    terms: CapTerms
    version: int


class StandingView(NamedTuple):
    """A cap with what it has counted."""

    cap: CapView
    used: int
    held: int
    ceiling: int | None
    left: int | None
    set_aside: int
    start_us: int
    resets_at_us: int
    used_in_all: int
    late: int


def standing_view(cap: Cap, now: int) -> StandingView:
    """A cap with the window that holds `now`, by its tenant's clock."""
    window, counter, owner = cap.terms.window, cap.counter, cap.owner
    used, held = cap.counted(now)
    start, resets_at = showing(window, counter, now, owner.anchors, owner.calendar)
    return StandingView(
        CapView(
            cap.number,
            owner.number,
            cap.below.number,
            cap.asset,
            cap.grant.number if cap.grant is not None else 0,
            cap.terms,
            cap.version,
        ),
        used,
        held,
        cap.ceiling(now),
        cap.left(now),
        cap.aside,
        start,
        resets_at,
        counter.posted,
        counter.late,
    )


def render_cap(assets: Assets, view: CapView, shard: int, names: Mapping[int, str]) -> pb.Cap:
    """A cap as it was set."""
    terms, asset = view.terms, assets.of(view.asset)
    return pb.Cap(
        cap_id=mint(CAP, shard, view.account, view.number),
        account=names[view.account],
        below=names[view.below],
        asset=asset.code,
        grant_id=mint(GRANT, shard, view.account, view.grant) if view.grant else "",
        limit=terms.limit if terms.limit >= 0 else None,
        numerator=terms.numerator,
        denominator=terms.denominator,
        window=render_window(terms.window),
        reserved=terms.reserved,
        version=view.version,
        scale=asset.scale,
    )


def render_standing(
    assets: Assets, view: StandingView, shard: int, names: Mapping[int, str]
) -> pb.CapStanding:
    """A cap with what it has counted."""
    return pb.CapStanding(
        cap=render_cap(assets, view.cap, shard, names),
        used=str(view.used),
        held=str(view.held),
        ceiling="" if view.ceiling is None else str(view.ceiling),
        left="" if view.left is None else str(view.left),
        set_aside=str(view.set_aside),
        window_start_us=view.start_us,
        resets_at_us=view.resets_at_us,
        used_in_all=str(view.used_in_all),
        late=str(view.late),
    )


class SharingView(NamedTuple):
    """How a grant is shared."""

    account: int
    grant: int
    sharing: Sharing
    version: int


def sharing_view(grant: Grant) -> SharingView:
    """How a grant is shared by now."""
    sharing = grant.shared_with
    if sharing is None:
        sharing = Sharing(SharingMode.ALL if grant.shared else SharingMode.NONE)
    return SharingView(grant.account.number, grant.number, sharing, grant.sharing_version)


def render_sharing(view: SharingView, shard: int, names: Mapping[int, str]) -> pb.GrantSharing:
    """How a grant is shared; who was erased since is not named."""
    sharing = view.sharing
    return pb.GrantSharing(
        grant_id=mint(GRANT, shard, view.account, view.grant),
        account=names[view.account],
        sharing=pb.Sharing(
            mode=pb.SharingMode.ValueType(sharing.mode),
            accounts=[names[number] for number in sharing.accounts if names[number]],
            labels=sharing.labels,
        ),
        version=view.version,
    )
