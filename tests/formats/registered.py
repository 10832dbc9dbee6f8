"""Every format that lasts. See `formats` for how to add one."""

from __future__ import annotations

from functools import reduce
from hashlib import blake2b
from operator import or_
from typing import Any, get_args

import msgspec

from ledger.api.ids import BILL, CAP, COMMITMENT, GRANT, HOLD, RECURRING, TOP_UP, mint, unmint
from ledger.api.positions import decode_position, encode_position
from ledger.core import events as e
from ledger.core.catalog import asset_number
from ledger.core.identity import FamilyDigest
from ledger.core.outcomes import locator_of, split_locator
from ledger.core.packages.packaged import (
    Entitlement,
    EntitlementKind,
    Package,
    PackagedAllotment,
    PackagedComparator,
    PackagedExcess,
    PackagedExhausted,
    PackagedGrant,
    PackagedKind,
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedSeats,
    PackagedUnit,
    PackagedUnknown,
    Phase,
    decode_package,
)
from ledger.core.packages.packaged import canonical_bytes as package_bytes
from ledger.core.packages.packaged_budgets import (
    PackagedBudget,
    PackagedMeasure,
    PackagedValueLimit,
    PackagedWindow,
    PackagedWindowKind,
    PackagedWindowUnit,
)
from ledger.core.packages.packaged_charges import (
    PackagedBilling,
    PackagedCharge,
    PackagedDiscount,
    PackagedPayer,
    PackagedStep,
    PhasedCharge,
)
from ledger.core.packages.packaged_operations import PackagedOperations
from ledger.core.packages.packaged_rules import (
    PackagedAction,
    PackagedAlternative,
    PackagedLimit,
    PackagedMap,
    PackagedRule,
)
from ledger.core.packing import PackedFamily, PackedShard
from ledger.core.upcast import UPCASTS, HoldAuthorized1
from ledger.engine.configuration import AliasBody, AssetBody, ClockBody, FailModeBody
from ledger.engine.segments import BUCKET_BITS_MIN, SegmentBuilder, bucket_of, key_number
from ledger.integrity.keys import KeyRecord, key_id_of
from ledger.integrity.leaves import Salts, batch_prefix, leaf
from ledger.integrity.merkle import leaf_hash, root_of
from ledger.integrity.proof import (
    PROOF_FORMAT,
    Identity,
    IdentityKind,
    Proof,
    ProvenEntry,
    decode_proof,
    encode_proof,
)
from ledger.integrity.seal import Seal
from ledger.journal.checkpoint import records_of
from ledger.journal.codec import (
    AttributedRecords,
    BatchCodec,
    PrivateRecords,
    decode_private,
    encode_private,
)
from ledger.journal.configuration import ConfigurationKind, content_hash
from ledger.journal.directory import family_shard
from ledger.journal.migrate import load_migrations
from ledger.journal.protocol import row_hash
from ledger.sizing.rules import SizingRule, SizingSet, decode_sizing
from ledger.sizing.rules import canonical_bytes as sizing_bytes
from ledger.statements.figures import (
    BookFigures,
    BookKey,
    Head,
    Line,
    LineKey,
    LineKind,
    Move,
    Paid,
    Statement,
    Total,
    canonical_bytes,
    hash_of,
)
from ledger.v1 import usage_pb2
from ledger.verify.marks import MARK_FORMAT, Marks, ShardMark
from rating import card as rating_card
from rating.card import Meter, PriceRow, Product, RateCard, Rounding
from rating.compile import row_number, row_of
from rating.meters import (
    Aggregation,
    Filter,
    MeteredAttribute,
    MeteredQuantity,
    MeterRule,
    MeterSet,
    decode_meters,
)
from rating.meters import canonical_bytes as meter_bytes
from rating.models import Scope
from tests.formats.formats import Format, filled

EVENTS: tuple[Any, ...] = (*get_args(e.Event), *UPCASTS)

# Structs and enums whose shape is a format: the manifest describes them and all that they name.
ROOTS: tuple[type, ...] = (
    *EVENTS,
    e.Pot,
    e.Suspense,
    PrivateRecords,
    AttributedRecords,
    AliasBody,
    AssetBody,
    ClockBody,
    FailModeBody,
    RateCard,
    MeterSet,
    Package,
    ConfigurationKind,
    Proof,
    KeyRecord,
    Marks,
    PackedFamily,
    PackedShard,
)

KEY, TRACE = bytes(range(16)), bytes(range(16, 32))
POLICY = e.AccountPolicy(
    "usd",
    1,
    2,
    e.Overage.PARENT,
    3,
    e.Excess.BILL,
    4,
    e.Comparator.ORB_1,
    False,
    False,
    "Europe/Berlin",
    5,
    e.OverdraftKind.PERCENT_OF_LIFETIME,
    6,
    7,
    True,
    True,
)
SLICES = (e.Slice(e.Pot.GRANT, 1, 2, 3, 4), e.Slice(e.Pot.OVERAGE, 5, 6))
# One of each event of the first version, no two fields of an event alike.
BATCH: tuple[Any, ...] = (
    e.WriterOpened(1, 2, b"hash", "writer"),
    e.ConfigurationApplied(1, 2, b"content"),
    e.BookOpened(1, 2, e.BookKind.USED, 3, 4, "chat"),
    e.AccountCreated(KEY, 1, 2, 3, 4, POLICY, b"profile", TRACE),
    e.AccountPolicyUpdated(KEY, 1, POLICY, 2, 3, TRACE),
    e.AccountClosed(KEY, 1, 2, TRACE),
    e.GrantIssued(
        KEY,
        1,
        2,
        3,
        e.GrantKind.PROMOTIONAL,
        4,
        5,
        6,
        7,
        -8,
        9,
        10,
        ("chat", "image"),
        b"external",
        11,
        12,
        1,
        (e.Backfill(14, "", 13, 15),),
        trace=TRACE,
    ),
    e.GrantVoided(KEY, 1, 2, 3, trace=TRACE),
    e.GrantExpired(1, 2, 3, 4),
    e.PlanDeclared(
        "chat", (("mode", "batch"), ("region", "eu")), ("input", "output"), "usd", 1, (2, -1), 3
    ),
    e.UsageRecorded(
        KEY,
        1,
        2,
        3,
        (4, 5),
        (6, -1),
        7,
        SLICES,
        8,
        ((9, 10),),
        11,
        e.Suspense.UNPRICED,
        0,
        12,
        1,
        b"operation",
        b"personal",
        TRACE,
    ),
    e.UsageQuarantined(KEY, 1, 2, 3, (4, 5), "TOO_OLD", b"operation", b"personal", TRACE),
    e.LimitExceeded(1, 2, 3, e.Excess.ABSORB),
    HoldAuthorized1(KEY, 1, 2, 3, (4, 5), (6, 7), 8, SLICES, 9, 10, 11, 12, TRACE),
    e.AuthorizeDenied(KEY, 1, 2, (3, 4), 5, 2**63 - 1, "INSUFFICIENT_CREDITS", 6, 7, TRACE),
    e.HoldReleased(KEY, 1, 2, TRACE),
    e.HoldExpired(1, 2),
    e.RequestAbandoned(KEY, 1),
)
PRIVATE = PrivateRecords()
PRIVATE.add(0, 7, "api", "event-1")
PRIVATE.add(2, 8, "api", "event-2", "task-9", "task-1", {"email": "person@example.test"})
ATTRIBUTED = AttributedRecords(actors={3: "token:alice"})
ATTRIBUTED.add(3, 8, "", "request-1")

PACKAGE = Package(
    PackagedUnit.QUARTER,
    2,
    "Pro",
    (
        PackagedGrant(
            "credits",
            "credits",
            1_000,
            PackagedKind.PREPAID,
            20,
            "USD",
            -1,
            ("chat",),
            ("media",),
            True,
            60,
            PackagedRollover(1, 2, 100, 7, True),
        ),
    ),
    PackagedPolicy(
        "resold",
        "credits",
        5,
        PackagedOverage.SELF,
        9,
        PackagedExcess.ABSORB,
        PackagedComparator.ORB_1,
        "USD",
    ),
    (Entitlement("region", EntitlementKind.STATIC, "eu"), Entitlement("x", grant="credits")),
)
SEATED = Package(
    seats=(
        PackagedSeats(
            "agents",
            PackagedGrant("agents", "credits", 1_000),
            "agent",
            PackagedAllotment.INDIVIDUAL,
            5,
            PackagedUnknown.REJECT,
            PackagedExhausted.DENY,
            100,
        ),
    )
)
BUDGETED = Package(
    budgets=(
        PackagedBudget(
            "monthly",
            PackagedMeasure.CHARGE,
            500,
            "credits",
            hard=False,
            window=PackagedWindow(
                PackagedWindowKind.CALENDAR, PackagedWindowUnit.MONTH, "Europe/Berlin"
            ),
            products=("chat",),
            tags=("ai",),
            attributes=(("region", "eu"),),
            thresholds=(50, 100),
        ),
        PackagedBudget(
            "tokens",
            PackagedMeasure.QUANTITY,
            5,
            quantity="tokens",
            window=PackagedWindow(PackagedWindowKind.SLIDING, length_us=3_600_000_000),
        ),
    )
)
CHARGED = Package(
    charges=(
        PackagedCharge(
            "base",
            "plan",
            "USD",
            4_900,
            quantity=2,
            billing=PackagedBilling.ARREARS,
            whole_first=True,
            whole_last=True,
            whole_changes=True,
            cash_only=True,
            payer=PackagedPayer.ACCOUNT,
            discount=PackagedDiscount(1, 2, 0, 1, 3),
            trial_periods=1,
            ramp=(PackagedStep(2, 9_900),),
        ),
        PackagedCharge("setup", "setup", "USD", 50_000, once=True, earned_over_us=86_400_000_000),
    ),
    phases=(Phase("trial", periods=1, charges=(PhasedCharge("base", 100), PhasedCharge("setup"))),),
)
BUDGETED_BY_VALUE = Package(
    budgets=(
        PackagedBudget(
            "per user",
            PackagedMeasure.REQUESTS,
            200,
            group_by=("user", "region"),
            values_max=1_000,
            value_limits=(PackagedValueLimit(("größe", ""), 2**62),),
        ),
    )
)
RULED = Package(
    rules=(
        PackagedRule(
            PackagedAction.DOWNGRADE,
            ("chat",),
            (("region", "eu"),),
            (PackagedLimit.GRANTS, PackagedLimit.BUDGET),
            "USD",
            100,
            5,
            50,
            alternatives=(
                PackagedAlternative(
                    "mini",
                    (("mode", "brief"),),
                    (PackagedMap("input", "tokens", 500), PackagedMap("output")),
                ),
            ),
        ),
        PackagedRule(PackagedAction.OVERDRAW, asset="credits", bound=7, lasting_us=8),
        PackagedRule(
            PackagedAction.DEFER,
            alternatives=(PackagedAlternative("batch"),),
            lifetime_us=3_600_000_000,
        ),
    )
)
OPERATING = Package(
    operations=PackagedOperations(
        PackagedBudget(
            "", PackagedMeasure.CHARGE, 500, "credits", products=("chat",), thresholds=(80,)
        ),
        3_600_000_000,
    )
)
METERS = MeterSet(
    (
        MeterRule(
            "gpu",
            "gpu.job",
            (
                MeteredQuantity("gpu_milliseconds", Aggregation.SUM, "seconds", 3, optional=True),
                MeteredQuantity("users", Aggregation.UNIQUE, "user", scope=Scope.DAY),
                MeteredQuantity("jobs"),
            ),
            "",
            "gpu",
            (Filter("status", ("done", "failed")), Filter("node")),
            (MeteredAttribute("region", "where"), MeteredAttribute("node")),
        ),
    )
)
CARD = RateCard(
    name="default",
    asset="USD",
    asset_scale=9,
    meters=(
        Meter("input_tokens"),
        Meter("cached_tokens", subset_of="input_tokens"),
        Meter("gpu_seconds", scale=3),
    ),
    rows=(
        PriceRow("chat", "input_tokens", "0.0000025"),
        PriceRow("chat", "input_tokens", "1/3", {"mode": "async", "eu": "*"}, 200_000, -1),
    ),
    products=(Product("chat", "Chat"), Product("image")),
    rounding=Rounding.UP,
    prompt_quantity="input_tokens",
)
FACTS = Product("chat", "Chat", facts={"provider": "acme", "context_limit": "8192"})
SEAL = Seal(
    1,
    KEY,
    TRACE,
    2,
    3,
    4,
    5,
    6,
    7,
    1_790_000_000_000_000,
    bytes(range(32)),
    bytes(range(32, 64)),
    bytes(range(64, 96)),
    bytes(range(64)),
)
KEY_RECORD = KeyRecord(
    1, KEY, 2, TRACE, bytes(range(32)), KEY, 3, bytes(range(64, 96)), bytes(range(64)), bytes(64)
)
PROVEN = ProvenEntry(1, 2, 3, 4, 5, KEY, b"event", [bytes(range(32)), bytes(32)])
PROOF = Proof(
    PROOF_FORMAT,
    SEAL,
    PROVEN,
    PROVEN,
    Identity(IdentityKind.USAGE, "api", "event-1", bytes(range(32))),
)
# An event as it waits for its account: the caller's protobuf, sorted.
PARKED = usage_pb2.UsageEvent(
    id="event-1",
    account="waiting",
    source="api",
    product="chat",
    quantities={"output": 2, "input": 1},
    attributes={"region": "eu", "mode": "batch"},
    effective_at_us=1_790_000_000_000_000,
    operation="task-9",
    personal_attributes={"email": "person@example.test"},
)


def event_format(event_class: Any) -> Format:
    """A released class, by its tag."""
    return Format(
        f"event-{event_class.__struct_config__.tag:03d}",
        {"full": filled(event_class), "minimal": filled(event_class, minimal=True)},
        msgspec.msgpack.encode,
        msgspec.msgpack.Decoder(event_class).decode,
    )


AS_WRITTEN: BatchCodec[Any] = BatchCodec(reduce(or_, EVENTS))
"""Reads a payload without telling retired events as current ones."""


def _digest(inputs: tuple[bytes, str, tuple[Any, ...]]) -> bytes:
    family_key, method, arguments = inputs
    found: bytes = getattr(FamilyDigest(family_key), method)(*arguments)
    return found


def _unmint(text: str) -> tuple[str, int, int, int]:
    kinds = (HOLD, GRANT, RECURRING, BILL, CAP, COMMITMENT, TOP_UP)
    kind = next(kind for kind in kinds if text.startswith(f"{kind}_"))
    return kind, *unmint(kind, text, 1 << 16)


FAMILY_KEY = bytes(range(32))
DIGESTS = {
    "usage": ("api", "event-1"),
    "usage without a source": ("", "evénement"),
    "request": ("request-1",),
    "external": ("order-7",),
    "operation": ("task-9",),
    "operation with its parent": ("task-9", "task-1"),
    "pairs": ((("email", "person@example.test"), ("user", "ü")),),
}


def key_bucket(records: list[tuple[bytes, int]]) -> bytes:
    """The body of a bucket that holds these (key, locator), in their order."""
    builder = SegmentBuilder(0, 0)
    builder.add(records)
    [(_, body)] = builder.bodies()
    return body


def key_filter_digest(keys: list[bytes]) -> bytes:
    """A digest of the saved bytes of the smallest filter that has these keys."""
    builder = SegmentBuilder(0, BUCKET_BITS_MIN)
    builder.add([(key, 0) for key in keys])
    return blake2b(builder.filter.save_bytes(), digest_size=32).digest()


_GRANT = BookKey(7, int(e.BookKind.GRANT), 2**32 + 1, 11, 3)
_OVERAGE = BookKey(9, int(e.BookKind.OVERAGE), 2**32 + 1, 11, 0)
STATEMENT = Statement(
    Head(1, 2, 11, 4, True, "region", 1_000, 2_000, 77),
    (
        Line(
            LineKey(12, int(LineKind.USAGE), "chat", "größe", None),
            3,
            1,
            {"input_tokens": 2**70, "output_tokens": -1},
            (Paid(_GRANT, 2**65), Paid(_OVERAGE, -5)),
        ),
        Line(LineKey(11, int(LineKind.FEE), "plan", None, 2), 0, 0, {}, (Paid(_OVERAGE, 9),)),
    ),
    (
        BookFigures(
            _GRANT,
            2**66,
            1,
            (Move(int(e.BookKind.USED), False, 2**65, 0), Move(int(e.BookKind.USED), True, 1, 2)),
            2**65 + 1,
            0,
        ),
    ),
    (Total(2**32 + 1, 2**65 + 4, 2**65, 0, 4, 0, 0, 0, 4),),
)
NO_STATEMENT = Statement(Head(1, 0, 11, 1, False, "", 0, 1, 0), (), (), ())


FORMATS: tuple[Format, ...] = (
    *[event_format(event_class) for event_class in EVENTS],
    # -- the journal's row
    Format(
        "events-of-a-batch",
        {"one of each": list(BATCH)},
        msgspec.msgpack.encode,
        msgspec.msgpack.Decoder(list[reduce(or_, EVENTS)]).decode,  # type: ignore[misc]
    ),
    Format(
        "journal-payload",
        {"one of each": list(BATCH)},
        AS_WRITTEN.encode,
        AS_WRITTEN.decode,
        exact=False,
    ),
    Format("journal-private", {"records": PRIVATE}, encode_private, decode_private, exact=False),
    Format(
        "journal-private",
        {"records": ATTRIBUTED},
        encode_private,
        decode_private,
        version=2,
        exact=False,
    ),
    Format(
        "journal-row-hash",
        {
            "first": (0, 1, 1_790_000_000_000_000, 0, 1, 1, 1, bytes(32), b"payload"),
            "later": (3, 2**40, 2**62, 2**50, 8_192, 1, 1, bytes(range(32)), b""),
        },
        lambda columns: row_hash(*columns),
    ),
    # -- identity and placement
    Format(
        "key-digest",
        {
            name: (FAMILY_KEY, name.partition(" ")[0], arguments)
            for name, arguments in DIGESTS.items()
        },
        _digest,
    ),
    Format(
        "placement",
        {
            "ascii": ("default", "acme", 4),
            "unicode": ("default", "größe/東京", 1_024),
            "prefix": ("defaulta", "cme", 1_024),
        },
        lambda inputs: family_shard(*inputs),
    ),
    Format(
        "minted-id",
        {
            "hold": (HOLD, 3, 7, 12),
            "grant": (GRANT, 0, 2**63 - 1, 2**40),
            "commitment": (COMMITMENT, 1, 6, 2**34 + 1),
            "recurring grant": (RECURRING, 2, 5, 2**33 + 1),
            "bill": (BILL, 3, 7, 2**40),
            "top-up": (TOP_UP, 1, 6, 2**34 + 3),
            "cap": (CAP, 2, 6, 2**34 + 3),
        },
        lambda inputs: mint(*inputs),
        _unmint,
    ),
    Format(
        "position",
        {"one shard": {2: 1_000_000}, "several": {0: 0, 3: 127, 4: 128, 1_023: 2**62}},
        encode_position,
        decode_position,
    ),
    Format(
        "locator",
        {"first": (1, 0), "later": (2**40, 1_048_575)},
        lambda place: locator_of(*place),
        split_locator,
    ),
    # -- configuration
    Format(
        "asset-body",
        {"full": AssetBody("USD", 9, "money", "US dollar"), "minimal": AssetBody("C", 0, "credit")},
        msgspec.msgpack.encode,
        msgspec.msgpack.Decoder(AssetBody).decode,
    ),
    Format(
        "alias-body",
        {"full": AliasBody("pro-2026")},
        msgspec.msgpack.encode,
        msgspec.msgpack.Decoder(AliasBody).decode,
    ),
    Format(
        "fail-mode-body",
        {"full": FailModeBody("LEASE_ONLY")},
        msgspec.msgpack.encode,
        msgspec.msgpack.Decoder(FailModeBody).decode,
    ),
    Format(
        "clock-body",
        {
            "full": ClockBody("month-end", 2, 3, 4, 5),
            "minimal": ClockBody("c", 1, 1_790_000_000_000_000),
        },
        msgspec.msgpack.encode,
        msgspec.msgpack.Decoder(ClockBody).decode,
    ),
    Format(
        "rate-card",
        {
            "full": CARD,
            "minimal": RateCard("default", "USD", 9, (), ()),
            "of contracts": RateCard("default", "USD", 9, (), (), contract_required=True),
            "of facts": msgspec.structs.replace(CARD, products=(FACTS,)),
        },
        rating_card.canonical_bytes,
        rating_card.decode_card,
    ),
    Format(
        "meters",
        {"full": METERS, "minimal": MeterSet((MeterRule("r", "t", (MeteredQuantity("q"),)),))},
        meter_bytes,
        decode_meters,
    ),
    Format(
        "sizing",
        {
            "full": SizingSet(
                (SizingRule("chat", ("q",), 950, ("model",), "acme", 50, 10, 4_000, True),)
            ),
            "minimal": SizingSet(),
        },
        sizing_bytes,
        decode_sizing,
    ),
    Format(
        "package",
        {
            "full": PACKAGE,
            "minimal": Package(),
            "with seats": SEATED,
            "with budgets": BUDGETED,
            "with charges": CHARGED,
            "with budgets by value": BUDGETED_BY_VALUE,
            "with rules": RULED,
            "with operations": OPERATING,
        },
        package_bytes,
        decode_package,
    ),
    Format("content-hash", {"of bytes": b"body", "of nothing": b""}, content_hash),
    Format("asset-number", {"of a tenant": (7, 12)}, lambda inputs: asset_number(*inputs)),
    Format("price-row-number", {"of a card": (12, 65_535)}, lambda row: row_number(*row), row_of),
    # -- statements (docs/statements.md)
    Format("statement-canonical", {"full": STATEMENT, "minimal": NO_STATEMENT}, canonical_bytes),
    Format("statement-hash", {"full": STATEMENT}, lambda each: hash_of(each, bytes(range(32)))),
    # -- seals and proofs (docs/integrity.md)
    Format(
        "leaf",
        {"full": (1, 2, 3, 4, 5, 6, KEY, b"event"), "minimal": (1, 0, 1, 0, 0, 0, bytes(16), b"")},
        lambda parts: leaf(batch_prefix(*parts[:5]), *parts[5:]),
    ),
    Format(
        "leaf-salt",
        {"first": (bytes(range(32)), 0), "later": (bytes(range(32)), 2**40 + 3)},
        lambda inputs: Salts(inputs[0]).of(inputs[1]),
    ),
    Format(
        "merkle-root",
        {f"of {size}": [b"%d" % number for number in range(size)] for size in (1, 2, 3, 5, 8)},
        lambda leaves: root_of([leaf_hash(each) for each in leaves]),
    ),
    Format("seal-signed-bytes", {"full": SEAL}, Seal.message),
    Format("seal-hash", {"full": SEAL}, Seal.hash),
    Format("seal-key-id", {"of a key": bytes(range(32))}, key_id_of),
    Format("seal-key-signed-bytes", {"full": KEY_RECORD}, KeyRecord.message),
    Format("seal-key-hash", {"full": KEY_RECORD}, KeyRecord.hash),
    Format(
        "proof",
        {"full": PROOF, "minimal": Proof(PROOF_FORMAT, SEAL, PROVEN)},
        encode_proof,
        decode_proof,
    ),
    Format(
        "mark",
        {"full": Marks(MARK_FORMAT, KEY, [ShardMark(1, 2, 3, bytes(32), 4, bytes(range(32)))])},
        msgspec.json.encode,
        msgspec.json.Decoder(Marks).decode,
    ),
    # -- identities beyond memory
    Format("key-bucket", {"two": [(KEY, 2**40 + 7), (bytes(16), 1)]}, key_bucket, records_of),
    Format(
        "key-place",
        {"of a digest": (bytes(range(200, 216)), 6), "negative": (b"\xff" * 16, 12)},
        lambda inputs: [key_number(inputs[0]), bucket_of(key_number(inputs[0]), inputs[1])],
    ),
    Format("key-filter", {"of two": [KEY, TRACE]}, key_filter_digest),
    # -- beside the journal
    Format(
        "parked-usage",
        {"event": PARKED},
        lambda event: event.SerializeToString(deterministic=True),
        usage_pb2.UsageEvent.FromString,
    ),
    Format(
        "migration",
        {each.name: each.name for each in load_migrations()},
        {each.name: each.checksum for each in load_migrations()}.__getitem__,
    ),
)
