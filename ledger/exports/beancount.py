"""A ledger for beancount: `bean-check units.beancount`.

A `balance` of beancount holds at the beginning of its day: opening transactions stand on the day
before the range and are asserted on its first day, closing balances on the day after its last.
Every assertion has a tolerance of zero. It counts the accounts below one as well, so no book stands
below another.
"""

from __future__ import annotations

from typing import TextIO

from ledger.exports import names
from ledger.exports.amounts import day_text, decimal_text, instant_text
from ledger.exports.chart import OPENING
from ledger.exports.sheet import Sheet, movement, pot_name, product_of
from ledger.exports.source import Balance, Page


class BeancountWriter:
    """See JournalWriter. `closing` is written apart and put at the end."""

    def __init__(self, out: TextIO, closing: TextIO, sheet: Sheet) -> None:
        self._out = out
        self._closing = closing
        self._sheet = sheet
        self._commodities: dict[int, str] = {}
        self._path = ""
        self._written = 0
        self._before = day_text(sheet.opening_day)
        self._first = day_text(sheet.opening_day + 1)
        self._after = day_text(sheet.closing_day + 1)
        for line in sheet.heading():
            out.write(f"; {line}\n")
        title = f"drawdown: {sheet.books} books of {sheet.selection.tenant}"
        out.write(f'\noption "title" {names.beancount_string(title)}\n')
        out.write("\n")
        for number, asset in sheet.assets.items():
            self._commodities[number] = names.beancount_commodity(asset.code, number)
            out.write(
                f"{self._before} commodity {self._commodities[number]}\n"
                f"  code: {names.beancount_string(asset.code)}\n"
                f"  scale: {asset.scale}\n"
            )
        out.write(f"{self._before} open {OPENING[sheet.books]}\n")

    def balance(self, balance: Balance) -> None:
        """See JournalWriter."""
        book, asset = balance.book, balance.asset
        if not balance.closing.debits_posted and not balance.closing.credits_posted:
            return
        self._written += 1
        out, commodity = self._out, self._commodities[asset.number]
        if book.path != self._path:
            self._path = book.path
            out.write(f"\n{self._before} open {book.path}\n")
            for label, text in (("account", book.account_id), ("name", book.name)):
                if text:
                    out.write(f"  {label}: {names.beancount_string(text)}\n")
        if balance.opening.posted:
            opening = decimal_text(balance.opening.posted, asset.scale)
            out.write(
                f'{self._before} * "opening balance"\n'
                f"  {book.path}  {opening} {commodity}\n"
                f"  {OPENING[self._sheet.books]}\n"
                f"{self._first} balance {book.path}  {opening} ~ 0 {commodity}\n"
            )
        closing = decimal_text(balance.closing.posted, asset.scale)
        self._closing.write(f"{self._after} balance {book.path}  {closing} ~ 0 {commodity}\n")

    def transfers(self, page: Page) -> None:
        """See JournalWriter."""
        sheet, commodities, assets = self._sheet, self._commodities, self._sheet.assets
        lines: list[str] = []
        for each, debit, credit in page:
            product = product_of(debit, credit)
            payee = f"{names.beancount_string(product)} " if product else ""
            pot = f'  pot: "{pot_name(each.pot)}"\n' if each.pot else ""
            amount = decimal_text(each.amount, assets[each.asset].scale)
            commodity = commodities[each.asset]
            lines.append(
                f"\n{day_text(sheet.day(each.effective_at, each.recorded_at))} * "
                f'{payee}"{movement(debit, credit)}"\n'
                f'  entry: "{each.shard}/{each.entry_seq}"\n'
                f"  line: {each.line}\n"
                f"{pot}"
                f'  effective: "{instant_text(each.effective_at)}"\n'
                f'  recorded: "{instant_text(each.recorded_at)}"\n'
                f"  {debit.path}  {amount} {commodity}\n"
                f"  {credit.path}  -{amount} {commodity}\n"
            )
        self._out.write("".join(lines))

    def end(self) -> None:
        """The other side of the opening balances stands at zero (rule B7)."""
        if self._written:
            for commodity in self._commodities.values():
                self._closing.write(
                    f"{self._after} balance {OPENING[self._sheet.books]}  0 ~ 0 {commodity}\n"
                )
