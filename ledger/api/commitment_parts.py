"""Parts of a commitment in a request, checked and turned into what the core takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.api.assets import Assets
from ledger.api.errors import Fault
from ledger.api.limits import Checked
from ledger.api.requests import asset_number, check_names, money_number
from ledger.core.events import CommitmentTerms, GrantKind, Invoice, Segment
from ledger.core.limits import INVOICES_MAX, PRODUCTS_A_GRANT_MAX, SEGMENTS_MAX, TAGS_A_GRANT_MAX
from ledger.journal.directory import Entry
from ledger.v1 import commitment_pb2 as pb

_KINDS: Final = {int(kind): kind for kind in (GrantKind.POSTPAID, GrantKind.PREPAID)}


def terms_of(
    assets: Assets, terms: pb.CommitmentTerms, entry: Entry, path: str = "terms"
) -> CommitmentTerms:
    """What all segments have in common. Raises CallFailed where there is no such asset."""
    return CommitmentTerms(
        _KINDS[terms.kind],
        asset_number(assets, f"{path}.asset", terms.asset, entry),
        money_number(assets, f"{path}.price_asset", terms.price_asset, entry),
        terms.priority,
        tuple(sorted(terms.products)),
        tuple(sorted(terms.tags)),
        tuple(sorted(terms.attributes.items())),
        terms.shared,
        tuple(sorted(terms.metadata.items())),
    )


def segment_of(segment: pb.CommitmentSegment) -> Segment:
    """A segment as it is asked for."""
    return Segment(segment.starts_at_us, segment.ends_at_us, segment.amount, segment.price)


def invoices_of(invoices: Iterable[pb.CommitmentInvoice]) -> tuple[Invoice, ...]:
    """A schedule of invoices as it is asked for."""
    return tuple([Invoice(invoice.at_us, invoice.amount) for invoice in invoices])


def check_terms(check: Checked, terms: pb.CommitmentTerms, path: str = "terms") -> None:
    """The form of the terms."""
    check.one_of(f"{path}.kind", terms.kind, _KINDS)
    check.ids(**{f"{path}.asset": terms.asset, f"{path}.price_asset": terms.price_asset})
    check_names(check, f"{path}.products", terms.products, PRODUCTS_A_GRANT_MAX)
    check_names(check, f"{path}.tags", terms.tags, TAGS_A_GRANT_MAX)
    check.attributes(f"{path}.attributes", terms.attributes)
    check.attributes(f"{path}.metadata", terms.metadata)


def check_segments(
    check: Checked, segments: Sequence[pb.CommitmentSegment], path: str = ""
) -> None:
    """The form of one or more segments."""
    _check_count(check, f"{path}segments", len(segments), SEGMENTS_MAX)
    check.given(f"{path}segments", len(segments) > 0)
    for place, segment in enumerate(segments[:SEGMENTS_MAX]):
        check_segment(check, f"{path}segments[{place}]", segment)


def check_segment(check: Checked, where: str, segment: pb.CommitmentSegment) -> None:
    """The form of a segment."""
    check.instant(f"{where}.starts_at_us", segment.starts_at_us)
    check.between(f"{where}.ends_at_us", segment.ends_at_us, 1)
    check.between(f"{where}.amount", segment.amount, 1)
    check.between(f"{where}.price", segment.price, 1)


def check_invoices(
    check: Checked, invoices: Sequence[pb.CommitmentInvoice], path: str = ""
) -> None:
    """The form of a schedule of invoices."""
    _check_count(check, f"{path}invoices", len(invoices), INVOICES_MAX)
    for place, invoice in enumerate(invoices[:INVOICES_MAX]):
        check.between(f"{path}invoices[{place}].at_us", invoice.at_us, 1)
        check.between(f"{path}invoices[{place}].amount", invoice.amount, 1)


def _check_count(check: Checked, field: str, given: int, most: int) -> None:
    if given > most:
        message = f"{given} {field}; at most {most} allowed"
        check.fault(Fault("TOO_MANY", field, str(given), message))
