"""What statements call things, and events in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from case_options import POTS, instant_text
from core_world import FAMILY, Core, duration_us

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.books import Book
from ledger.core.decide import Outcome
from ledger.core.outcomes import Known, Refusal
from ledger.core.state import Account, Grant, RecurringGrant


class Told:
    """Remembers what statements called things, and says what came of a command."""

    def __init__(self, core: Core | None = None) -> None:
        self.core = core if core is not None else Core()
        self.accounts: dict[str, int] = {}
        self.grants: dict[str, int] = {}
        self.holds: dict[str, tuple[str, int]] = {}
        self.quotes: dict[str, int] = {}
        self.entries: dict[str, c.Original] = {}  # usage and reversals by their id
        self.recurring: dict[str, int] = {}
        self.commitments: dict[str, int] = {}
        self.charges: dict[str, int] = {}
        self._ids = 0
        self._rates = 0

    def execute(self, command: c.Command) -> tuple[Outcome, str]:
        """Run a command; what came of it, in words, and with what followed from it."""
        batch = self.core.batches[-1][1]
        before = len(batch)
        outcome = self.core.run(command)
        if isinstance(outcome, Known):
            field = self.core.difference(command, outcome)
            if field:
                return outcome, f"refused CONFLICT {field}"
            return outcome, f"replayed: {self.tell(self.core.recorded(outcome)[0])}"
        if isinstance(outcome, Refusal):
            return outcome, f"refused {outcome.reason} {outcome.field}".rstrip()
        told = [self.tell(event) for event in batch[before:]]
        return outcome, "; ".join([words for words in told if words])

    def _charged(self, name: str) -> tuple[int, int]:
        number = self.charges[name]
        found = self.core.state.charges.get(number)
        return (found.account.number if found is not None else 404), number

    def _charge_name(self, number: int) -> str:
        return next(name for name, each in self.charges.items() if each == number)

    def _committed(self, name: str) -> tuple[int, int]:
        number = self.commitments[name]
        found = self.core.state.commitments.get(number)
        return (found.account.number if found is not None else 404), number

    def _place(self, name: str) -> tuple[int, int]:
        number = self.recurring[name]
        found = self.core.state.recurring.get(number)
        return (found.account.number if found is not None else 404), number

    def tell(self, event: e.Event) -> str:
        """One event in words; "" where it only prepares another."""
        match event:
            case e.UsageRecorded():
                parts = ["late"] if event.late else []
                parts += ["rated"] if isinstance(event, e.SuspenseRated) else []
                confirms = isinstance(event, e.OutcomeConfirmed)
                parts += ["confirmed by time"] if confirms and event.by_time else []
                parts += ["hold expired, charged"] if isinstance(event, e.HoldCharged) else []
                parts += [self._slice(piece, "drawn") for piece in event.slices]
                parts += ["suspense"] if -1 in event.charges else []
                parts = parts or ["free"]
                if event.cost is not None:
                    parts.append(f"cost {event.cost.total}")
                    parts += ["cost unknown"] if -1 in event.cost.lines else []
                if isinstance(event, e.UsageQuoted) and event.unused:
                    parts.append(event.unused.name)
                elif isinstance(event, e.UsageQuoted) and event.part is not None:
                    if parts == ["free"]:
                        parts = []
                    parts.append(f"{sum(event.part.charges)} quoted")
                return ", ".join(parts)
            case e.RerateShared():
                return ""
            case e.SharedRerated():
                whose = next(name for name, each in self.accounts.items() if each == event.account)
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                return f"{whose} re-rated {', '.join(parts) or 'nothing'}"
            case e.UsageRerated():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                return f"re-rated {', '.join(parts) or 'nothing'}"
            case e.UsageReversed():
                parts = [self._returned(piece) for piece in event.given_back] or ["nothing"]
                parts += [f"cost -{event.cost.total}"] if event.cost is not None else []
                return ", ".join(parts)
            case e.UsageConverted():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                return f"{event.units} worth {event.amount}: {', '.join(parts) or 'nothing'}"
            case e.ConversionReversed():
                parts = [self._returned(piece) for piece in event.given_back]
                return f"{event.units} back: {', '.join(parts) or 'nothing'}"
            case e.BalanceAdjusted():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                return ", ".join(parts) or "credited"
            case e.GrantRestored():
                self.grants[f"{self._called(event.of)}+"] = event.grant
                return ""
            case e.AdjustmentNoted():
                return "adjustment"
            case e.OutcomeReported():
                parts = [self._slice(piece, "pending") for piece in event.slices]
                parts += ["suspense"] if event.suspense else []
                return ", ".join(parts) or "free"
            case e.OutcomeRejected():
                return "rejected by time" if event.by_time else "rejected"
            case e.HoldAuthorized():
                return ", ".join([self._slice(piece, "held") for piece in event.slices]) or "free"
            case e.QuoteMade():
                return f"quoted {sum(event.charges)}"
            case e.QuoteExpired():
                return "quote expired"
            case e.AuthorizeDenied():
                return f"denied {event.reason}"
            case e.UsageQuarantined():
                return f"quarantined {event.reason}"
            case e.RecurringIssued():
                name = self._recurring_name(event.recurring)
                start = instant_text(event.start)
                self.grants[f"{name}@{start}"] = event.grant
                return f"{name} issued {event.amount} for {start} to {instant_text(event.end)}"
            case e.RecurringChanged():
                if not event.grant:
                    return "changed"
                name = self._recurring_name(event.recurring)
                start = instant_text(self.core.state.recurring[event.recurring].period_start)
                self.grants[f"{name}@{start}+"] = event.grant
                return f"changed, {event.amount} more"
            case e.FeeCharged():
                parts = [self._slice(piece, "drawn") for piece in event.slices]
                parts += [self._returned(piece) for piece in event.given_back]
                name = self._charge_name(event.charge)
                return (
                    f"{name} fee {event.amount} of {event.total}: {', '.join(parts) or 'nothing'}"
                )
            case e.FeeRecognised():
                money = sum(part.earned for part in event.deferrals)
                return f"{self._charge_name(event.charge)} earned {money}"
            case e.ChargePeriodBegun():
                until = f"{instant_text(event.start)} to {instant_text(event.end)}"
                return f"{self._charge_name(event.charge)} {event.number}: {until}"
            case e.ChargeStarted():
                return "started"
            case e.ChargeChanged():
                return f"version {event.version}"
            case e.ChargeEnded():
                return f"ends {instant_text(event.ends_at)}"
            case e.CommitmentCreated():
                self._called_segments(event.commitment, event.grants)
                return "committed"
            case e.SegmentAdded():
                self._called_segments(event.commitment, (event.grant,))
                return "added"
            case e.CommitmentEnded():
                how = "moved" if event.target else "trued up"
                return f"ended, {how} {event.units} for {event.value}"
            case e.InvoiceDue():
                return f"invoiced {event.amount}"
            case e.RecurringStarted():
                return "started"
            case e.RecurringEnded():
                return f"ended {instant_text(event.ends_at)}"
            case e.TrueUpCounted():
                return f"{event.amount} for {self._called(event.grant)}, {event.refunded} less due"
            case e.GrantReduced():
                return f"{self._called(event.grant)} reduced by {event.amount}"
            case e.GrantIssued() if event.origin:
                self.grants[f"{self._called(event.origin)}+"] = event.grant
                return ""
            case e.GrantIssued() if not event.key:
                repaid = sum(part.amount for part in event.backfills)
                return f"repaid {repaid}" if repaid else ""
            case e.GrantIssued():
                repaid = sum(part.amount for part in event.backfills)
                return f"issued, repaid {repaid}" if repaid else "issued"
            case e.GrantStarted():
                repaid = sum(part.amount for part in event.backfills)
                return f"{self._called(event.grant)} repaid {repaid}" if repaid else ""
            case e.GrantRolledOver():
                return f"{self._called(event.grant)} rolled over {event.amount}"
            case e.GrantReleased():
                repaid = sum(part.amount for part in event.backfills)
                more = f", repaid {repaid}" if repaid else ""
                return f"{self._called(event.grant)} released {event.amount}{more}"
            case e.GrantRefunded():
                more = f", breakage {event.breakage}" if event.breakage else ""
                return f"{event.amount} units back, refunded {event.refunded}{more}"
            case e.GrantChargedBack():
                parts = [f"{part.amount} of {self._called(part.grant)}" for part in event.parts]
                return f"{event.payment} taken back, void {', '.join(parts)}, owed {event.owed}"
            case e.AccountBilled():
                return ", ".join([self._bill_line(line) for line in event.lines])
            case e.AccountFrozen() if event.cause == e.FreezeCause.CHARGEBACK:
                return "frozen"
            case e.GrantCancelled():
                return f"{self._called(event.grant)} cancelled {event.amount}"
            case e.GrantVoided():
                return f"{self._called(event.grant)} voided {event.amount}"
            case e.GrantExpired():
                return f"{self._called(event.grant)} expired {event.amount}"
            case e.HoldExtended():
                return "extended"
            case e.HoldReleased() | e.HoldExpired():
                return "released" if isinstance(event, e.HoldReleased) else "hold expired"
            case e.LimitExceeded():
                return f"{event.amount} over the limit"
            case e.AccountClosedOut():
                parts = [f"{len(event.holds)} holds released"] if event.holds else []
                parts += [self._write_off(each) for each in event.write_offs]
                return ", ".join(parts) or "done"
            case e.PriceOverridesSet():
                return f"overrides {event.version}"
            case e.TopUpRuleSet():
                return f"rule {event.version}"
            case e.TopUpRequested():
                return f"tops up {event.top_up}: {event.amount} for {event.price_paid}"
            case e.TopUpConfirmed() | e.TopUpDeclined() | e.TopUpExpired():
                return type(event).__name__.removeprefix("TopUp").lower()
            case e.MinimumCharged():
                of = ".".join([each for each in (event.product, event.quantity) if each]) or "all"
                parts = [f"minimum {of} {event.charged} of {event.minimum}"]
                return ", ".join(parts + [self._slice(piece, "drawn") for piece in event.slices])
            case e.BookOpened() | e.PlanDeclared() | e.TimeShifted() | e.MinimumsAwaited():
                return ""
        return "done"

    def _slice(self, piece: e.Slice, verb: str) -> str:
        if piece.pot == e.Pot.GRANT:
            return f"{verb} {piece.amount} from {self._called(self._book(piece.book).owner)}"
        word = POTS.get(e.Pot(piece.pot))
        if word is not None:
            return f"{word} {piece.amount}"
        word = "overage" if piece.pot == e.Pot.OVERAGE else "billed"
        owner = self._book(piece.book).owner
        payer = next(name for name, number in self.accounts.items() if number == owner)
        return f"{word} {piece.amount} on {payer}"

    def _returned(self, piece: e.GivenBack) -> str:
        book = self._book(piece.book)
        match e.BookKind(book.kind):
            case e.BookKind.GRANT:
                to = self._called(book.owner)
            case e.BookKind.ADVANCE | e.BookKind.OVERAGE:
                to = e.BookKind(book.kind).name.lower()
            case kind:
                to = kind.name.lower()
        money = f" worth {piece.value}" if piece.value else ""
        return f"{piece.amount} to {to}{money}"

    def _recurring_name(self, number: int) -> str:
        return next(name for name, each in self.recurring.items() if each == number)

    def _write_off(self, each: e.WriteOff) -> str:
        if each.grant:
            word = "forfeited" if each.kind == e.WriteOffKind.GRANT else each.kind.name.lower()
            return f"{word} {each.amount} of {self._called(each.grant)}"
        return f"{each.kind.name.lower()} {each.amount} written off"

    def _bill_line(self, line: e.BillLine) -> str:
        of = f" of {self._called(line.grant)}" if line.grant else ""
        return f"{line.amount} {e.BookKind(self._book(line.credit).kind).name.lower()}{of}"

    def _called(self, grant: int) -> str:
        for name, number in self.grants.items():
            if number == grant:
                return name
        return "?"

    def _book(self, number: int) -> Book:
        return self.core.state.books.accounts[number]

    def account(self, name: str) -> Account:
        return self.core.state.accounts[self.accounts[name]]

    def grant(self, name: str) -> Grant:
        return self.core.state.grants[self.grants[name]]

    def recurrence(self, name: str) -> RecurringGrant:
        return self.core.state.recurring[self.recurring[name]]

    def _request(self, options: dict[str, str]) -> bytes:
        return FAMILY.request(options.get("id") or self._next_id())

    def _next_id(self) -> str:
        self._ids += 1
        return f"#{self._ids}"

    def _time(self, text: str | None) -> int:
        if text is None:
            return 0
        if text[0] in "+-" or text[-1].isalpha():
            return self.core.now + duration_us(text)
        return (datetime.fromisoformat(text) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
