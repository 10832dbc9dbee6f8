"""A journal for hledger: `hledger -f units.journal check`.

hledger checks assertions in the order of days, then of the file. So opening balances stand first
and on the day before the range, closing ones last and on the range's last day; each names the exact
amount. The words of customers stand in account names (escaped) and in comments that have a line of
their own: hledger reads tags, dates and types in any other comment.
"""

from __future__ import annotations

from typing import Final, TextIO

from ledger.core.catalog import Asset
from ledger.exports import names
from ledger.exports.amounts import day_text, decimal_text, instant_text
from ledger.exports.chart import OPENING
from ledger.exports.sheet import Sheet, movement, pot_name, product_of
from ledger.exports.source import Balance, Page

POSTINGS_MAX: Final = 500  # of one closing transaction

_TYPES: Final = {"Assets": "A", "Liabilities": "L", "Equity": "E", "Income": "R", "Expenses": "X"}


class HledgerWriter:
    """See JournalWriter. `closing` is written apart and put at the end."""

    def __init__(self, out: TextIO, closing: TextIO, sheet: Sheet) -> None:
        self._out = out
        self._closing = closing
        self._sheet = sheet
        self._commodities: dict[int, str] = {}
        self._path = ""
        self._closed = 0
        for line in sheet.heading():
            out.write(f"; {line}\n")
        out.write("\ndecimal-mark .\n")
        for number, asset in sheet.assets.items():
            self._commodities[number] = names.hledger_commodity(asset.code)
            out.write(f"commodity {_one(asset)} {self._commodities[number]}\n")
        out.write(f"account {OPENING[sheet.books]}  ; type:E\n")

    def balance(self, balance: Balance) -> None:
        """See JournalWriter."""
        book, asset = balance.book, balance.asset
        if not balance.closing.debits_posted and not balance.closing.credits_posted:
            return
        out, commodity = self._out, self._commodities[asset.number]
        if book.path != self._path:
            self._path = book.path
            for label, text in (("account", book.account_id), ("name", book.name)):
                if text:
                    out.write(f"\n; {label} {names.one_line(text)}")
            out.write(f"\naccount {book.path}  ; type:{_TYPES[book.path.partition(':')[0]]}\n")
        opening = decimal_text(balance.opening.posted, asset.scale)
        if balance.opening.posted:
            out.write(
                f"{day_text(self._sheet.opening_day)} * opening balance\n"
                f"    {book.path}  {opening} {commodity} = {opening} {commodity}\n"
                f"    {OPENING[self._sheet.books]}\n"
            )
        if self._closed % POSTINGS_MAX == 0:
            self._closing.write(f"\n{day_text(self._sheet.closing_day)} * closing balances\n")
        self._closed += 1
        closing = decimal_text(balance.closing.posted, asset.scale)
        self._closing.write(f"    {book.path}  0 {commodity} = {closing} {commodity}\n")

    def transfers(self, page: Page) -> None:
        """See JournalWriter."""
        sheet, commodities, assets = self._sheet, self._commodities, self._sheet.assets
        lines: list[str] = []
        for each, debit, credit in page:
            product = product_of(debit, credit)
            words = f"{movement(debit, credit)}{' ' + names.escape(product) if product else ''}"
            pot = f"pot:{pot_name(each.pot)}, " if each.pot else ""
            amount = decimal_text(each.amount, assets[each.asset].scale)
            commodity = commodities[each.asset]
            lines.append(
                f"\n{day_text(sheet.day(each.effective_at, each.recorded_at))} * "
                f"({each.shard}/{each.entry_seq}) {words}\n"
                f"    ; line:{each.line}, {pot}effective:{instant_text(each.effective_at)}, "
                f"recorded:{instant_text(each.recorded_at)}\n"
                f"    {debit.path}  {amount} {commodity}\n"
                f"    {credit.path}  -{amount} {commodity}\n"
            )
        self._out.write("".join(lines))

    def end(self) -> None:
        """The other side of the opening balances stands at zero (rule B7)."""
        if self._closed == 0:
            return
        self._closing.write(f"\n{day_text(self._sheet.closing_day)} * opening balances balance\n")
        for commodity in self._commodities.values():
            self._closing.write(
                f"    {OPENING[self._sheet.books]}  0 {commodity} = 0 {commodity}\n"
            )


def _one(asset: Asset) -> str:
    """One unit with all its places: hledger shows amounts with as many."""
    return f"1.{'0' * asset.scale}"
