"""Statements about what time brings: recurring grants, fixed charges, commitments."""

from __future__ import annotations

from case_options import ASSETS, kind_of, rollover_of
from case_told import Told
from core_world import CREDITS, FAMILY, USD, duration_us

from ledger.core import commands as c
from ledger.core import events as e


class ScheduleCase(Told):
    """What comes again, or falls due."""

    def _recurring(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        command = c.StartRecurring(
            self._request(options),
            self.accounts[name],
            self._recurring_terms(options, amount, flags),
            FAMILY.external(options.get("key", "")),
            self._time(options.get("starts")),
            self._time(options.get("ends")),
        )
        # Named before it is there, so that what is issued at once can be told.
        self.recurring.setdefault(options["as"], self.core.state.next_recurring)
        return self.execute(command)[1]

    def _recurring_terms(
        self, options: dict[str, str], amount: str, flags: tuple[str, ...]
    ) -> e.RecurringTerms:
        every = options.get("every", "1month")
        unit = every.lstrip("0123456789")
        paid = 0 if "free" in flags else int(options.get("paid", 0))
        return e.RecurringTerms(
            kind_of(flags),
            ASSETS[options.get("asset", "credits")],
            int(amount),
            paid,
            USD if paid else 0,
            int(options.get("priority", 0)),
            tuple(options["for"].split(",")) if "for" in options else (),
            e.PeriodUnit[unit.upper()],
            int(every.removesuffix(unit)),
            self._time(options.get("anchor")),
            options.get("zone", ""),
            e.Proration[options.get("prorate", "none").upper()],
            duration_us(options["lasts"]) if "lasts" in options else 0,
            shared="shared" in flags,
            rollover=rollover_of(
                options | {"rolls": options["rollover"], "lasts": options["rolls"]},
                "again" in flags,
            )
            if "rollover" in options
            else None,
        )

    def _change(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        account, number = self._place(name)
        command = c.ChangeRecurring(
            self._request(options),
            account,
            number,
            self._recurring_terms(options, amount, flags),
            e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD,
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _pause(self, options: dict[str, str], name: str) -> str:
        return self.execute(c.PauseRecurring(self._request(options), *self._place(name)))[1]

    def _resume(self, options: dict[str, str], name: str) -> str:
        return self.execute(c.ResumeRecurring(self._request(options), *self._place(name)))[1]

    def _end(self, options: dict[str, str], name: str, *flags: str) -> str:
        timing = e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD
        command = c.EndRecurring(self._request(options), *self._place(name), timing)
        return self.execute(command)[1]

    def _charge(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        command = c.StartCharge(
            self._request(options),
            self.accounts.get(name, 404),
            options["as"],
            self._fee(options, amount, flags),
            int(options.get("x", 1)),
            self._time(options.get("starts")),
            self._time(options.get("ends")),
        )
        # Named before it is there, so that what is charged at once can be told.
        number = self.core.state.next_charge
        before = self.charges.get(options["as"], number)
        self.charges[options["as"]] = number
        outcome, told = self.execute(command)
        if not isinstance(outcome, e.ChargeStarted):
            self.charges[options["as"]] = before
        return told

    def _fee(self, options: dict[str, str], amount: str, flags: tuple[str, ...]) -> e.ChargeTerms:
        every = options.get("every", "1month")
        unit = "month" if every == "once" else every.lstrip("0123456789")
        ramp = [step.rsplit(":", 1) for step in options.get("ramp", "").split(",") if step]
        discount = None
        if "off" in options:
            numerator, _, denominator = options["off"].partition("/")
            first, _, periods = options.get("discounts", "1+0").partition("+")
            discount = e.ChargeDiscount(
                int(numerator) if denominator else 0,
                int(denominator or 0),
                0 if denominator else int(numerator),
                int(first),
                int(periods),
            )
        return e.ChargeTerms(
            options.get("of", "plan"),
            ASSETS[options.get("asset", "usd")],
            int(amount),
            e.ChargeBilling.ARREARS if "arrears" in flags else e.ChargeBilling.ADVANCE,
            e.PeriodUnit[unit.upper()],
            0 if every == "once" else int(every.removesuffix(unit)),
            self._time(options.get("anchor")),
            options.get("zone", ""),
            e.Proration[options.get("prorate", "both").upper()],
            "whole" not in flags,
            "cash" in flags,
            e.ChargePayer.ACCOUNT if "self" in flags else e.ChargePayer.OVERAGE,
            discount,
            int(options.get("trial", 0)),
            self._time(options.get("until")),
            tuple(
                e.RampStep(0, self._time(at), int(step))
                if "-" in at
                else e.RampStep(int(at), 0, int(step))
                for at, step in ramp
            ),
            duration_us(options["earned"]) if "earned" in options else 0,
        )

    def _quantity(self, options: dict[str, str], name: str, quantity: str, *flags: str) -> str:
        command = c.ChangeQuantity(
            self._request(options),
            *self._charged(name),
            int(quantity),
            e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD,
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _terms(self, options: dict[str, str], name: str, amount: str, *flags: str) -> str:
        terms = self._fee(options, amount, flags)
        command = c.ChangeTerms(
            self._request(options), *self._charged(name), terms, int(options.get("version", 0))
        )
        return self.execute(command)[1]

    def _stop(self, options: dict[str, str], name: str, *flags: str) -> str:
        timing = e.Timing.NOW if "now" in flags else e.Timing.NEXT_PERIOD
        command = c.EndCharge(self._request(options), *self._charged(name), timing)
        return self.execute(command)[1]

    def _commit(self, options: dict[str, str], name: str, *words: str) -> str:
        flags = tuple(word for word in words if ".." not in word)
        kind = e.GrantKind.PREPAID if "prepaid" in flags else e.GrantKind.POSTPAID
        command = c.CreateCommitment(
            self._request(options),
            self.accounts.get(name, 404),
            e.CommitmentTerms(
                kind_of(flags) if {"free", "allowance"} & set(flags) else kind,
                CREDITS,
                USD,
                int(options.get("priority", 0)),
                tuple(options["for"].split(",")) if "for" in options else (),
                shared="shared" in flags,
            ),
            tuple(self._segment(word) for word in words if ".." in word),
            self._invoices(options),
            FAMILY.external(options.get("key", "")),
        )
        self.commitments.setdefault(options["as"], self.core.state.next_commitment)
        return self.execute(command)[1]

    def _upsize(self, options: dict[str, str], name: str, segment: str) -> str:
        command = c.AddSegment(
            self._request(options),
            *self._committed(name),
            self._segment(segment),
            self._invoices(options),
        )
        return self.execute(command)[1]

    def _terminate(self, options: dict[str, str], name: str, *flags: str) -> str:
        ending = e.CommitmentEnding.WAIVE if "waive" in flags else e.CommitmentEnding.TRUE_UP
        target = (0, 0)
        if "to" in options:
            ending = e.CommitmentEnding.TRANSFER
            target = self._committed(options["to"])
        command = c.EndCommitment(self._request(options), *self._committed(name), ending, *target)
        return self.execute(command)[1]

    def _segment(self, text: str) -> e.Segment:
        starts_at, _, rest = text.partition("..")
        ends_at, amount, price = rest.replace("/", ":").split(":")
        start = 0 if starts_at == "now" else self._time(starts_at)
        return e.Segment(start, self._time(ends_at), int(amount), int(price))

    def _invoices(self, options: dict[str, str]) -> tuple[e.Invoice, ...]:
        planned = [each.split("@") for each in options.get("invoices", "").split(",") if each]
        return tuple(e.Invoice(self._time(at), int(amount)) for amount, at in planned)

    def _called_segments(self, commitment: int, grants: tuple[int, ...]) -> None:
        name = next(name for name, each in self.commitments.items() if each == commitment)
        kept = [grant.number for grant in self.core.state.commitments[commitment].grants]
        for grant in grants:
            self.grants[f"{name}.{kept.index(grant) + 1}"] = grant
