"""What one field of a rate card has wrong; details of a status, never one by themselves."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    HERE,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Any of them",
        "pricing.md#cards-in-files",
        "What one field of a card, a set of meters, overrides, a package or terms has wrong. The "
        "status says `RATE_CARD_INVALID`, `METERS_INVALID`, `OVERRIDES_INVALID`, "
        "`PACKAGE_INVALID`, `SIZING_INVALID` or `TERMS_INVALID`; these stand beside each field of"
        " its details.",
        (
            Row(
                "NAME_EMPTY",
                HERE,
                "A name is missing.",
                "Give one.",
            ),
            Row(
                "NAME_TOO_LONG",
                HERE,
                "A name has too many bytes.",
                "Shorten it.",
            ),
            Row(
                "NAME_NOT_UTF8",
                HERE,
                "A name is no valid Unicode.",
                "Write it anew.",
            ),
            Row(
                "NAME_RESERVED",
                HERE,
                "A product is named `*`, which stands for any product.",
                "Name it otherwise.",
            ),
            Row(
                "PRICE_MALFORMED",
                HERE,
                "A price is neither a decimal nor a ratio.",
                "Write one such as `0.0000025` or `1/3`.",
            ),
            Row(
                "PRICE_NEGATIVE",
                HERE,
                "A price is below zero.",
                "Give zero or more.",
            ),
            Row(
                "RATE_ZERO",
                HERE,
                "A rate is zero, so that nothing would be worth nothing.",
                "Give one above zero.",
            ),
            Row(
                "AMOUNT_NOT_WHOLE",
                HERE,
                "An amount has more decimals than the asset.",
                "Round it.",
            ),
            Row(
                "AMOUNT_TOO_LARGE",
                HERE,
                "An amount does not fit 64 bits in minor units.",
                "Give a smaller one.",
            ),
            Row(
                "VALUE_UNKNOWN",
                HERE,
                "A member of an enum is none that is known.",
                "Use one of the protos of this version.",
            ),
            Row(
                "DUPLICATE",
                HERE,
                "An entry is for the same as an earlier one.",
                "Leave one out.",
            ),
            Row(
                "FIELD_UNKNOWN",
                HERE,
                "A field is none that is known.",
                "Leave it out, or correct its name.",
            ),
        ),
    ),
    Area(
        "Cards",
        "pricing.md#rows",
        "Rows, meters and products.",
        (
            Row(
                "CARD_MALFORMED",
                HERE,
                "The bytes, or the file, are no rate card.",
                "Write it as the schema of price sheets says.",
            ),
            Row(
                "ROW_TIE",
                HERE,
                "Two rows say the same.",
                "Remove one of them.",
            ),
            Row(
                "METER_DUPLICATE",
                HERE,
                "A meter is declared twice.",
                "Remove one.",
            ),
            Row(
                "PRODUCT_DUPLICATE",
                HERE,
                "A product is declared twice.",
                "Remove one.",
            ),
            Row(
                "SUBSET_PARENT_UNKNOWN",
                HERE,
                "A meter is part of one that is not declared.",
                "Declare it.",
            ),
            Row(
                "SUBSET_SCALE_DIFFERS",
                HERE,
                "A meter and the one that it is part of have different scales.",
                "Give both the same scale.",
            ),
            Row(
                "SUBSET_CYCLE",
                HERE,
                "A meter is, over others, part of itself.",
                "Have one of them be part of none.",
            ),
            Row(
                "SCALE_OUT_OF_RANGE",
                HERE,
                "A scale is out of bounds.",
                "Give one from 0 to 18.",
            ),
            Row(
                "SCALE_CHANGED",
                HERE,
                "The scale of a meter or an asset is another than that of an earlier version.",
                "Keep it, or use another name.",
            ),
            Row(
                "ASSET_CHANGED",
                HERE,
                "The card is in another asset than its earlier versions.",
                "Publish a card of another name.",
            ),
            Row(
                "ASSET_SCALE_DIFFERS",
                HERE,
                "The card gives its asset another scale than the tenant does.",
                "Use the asset's scale.",
            ),
            Row(
                "NAME_DIFFERS",
                HERE,
                "The candidate has another name than the card that it is compared with.",
                "Give it that name.",
            ),
            Row(
                "NOT_SERVED",
                HERE,
                "The ledger does not price by this.",
                "Leave it out.",
            ),
        ),
    ),
    Area(
        "Price models",
        "pricing.md#price-models",
        "Tiers, maximums, percentages, hours.",
        (
            Row(
                "PRICE_WITH_MODEL",
                HERE,
                "A row has a model and a price of its own.",
                "Leave the price out.",
            ),
            Row(
                "PRICE_NOT_FOR_MODEL",
                HERE,
                "A stair has a price a unit.",
                "Give it its flat amount only.",
            ),
            Row(
                "INCLUDED_NOT_FOR_MODEL",
                HERE,
                "Units are included where the total is not of units.",
                "Leave them out.",
            ),
            Row(
                "MAXIMUM_NOT_FOR_MODEL",
                HERE,
                "A maximum stands beside a model that counts no running total.",
                "Leave it out.",
            ),
            Row(
                "LIST_PRICE_NOT_FOR_MODEL",
                HERE,
                "A list price stands beside a model that has no price of units.",
                "Leave it out.",
            ),
            Row(
                "WRONG_SCOPE",
                HERE,
                "A formula sees one event, and its row has another scope.",
                "Give it the scope `event`.",
            ),
            Row(
                "TIERS_EMPTY",
                HERE,
                "A model of tiers has none.",
                "Give at least the open one.",
            ),
            Row(
                "TIER_OPEN_NOT_LAST",
                HERE,
                "A tier that is not the last is open.",
                "Say up to where it goes.",
            ),
            Row(
                "TIER_LAST_NOT_OPEN",
                HERE,
                "The last tier is not open.",
                "Leave its end out, so that every quantity has a price.",
            ),
            Row(
                "TIERS_NOT_ASCENDING",
                HERE,
                "A tier ends before it begins.",
                "Order them by their ends.",
            ),
            Row(
                "TIERS_DECREASING",
                HERE,
                "A higher stair costs less than the one below.",
                "Have stairs ascend.",
            ),
            Row(
                "TIER_WITHOUT_PRICE",
                HERE,
                "A tier says no price.",
                "Give one; `0` is free.",
            ),
            Row(
                "MINIMUM_ABOVE_MAXIMUM",
                HERE,
                "A minimum is above the maximum beside it.",
                "Lower it.",
            ),
            Row(
                "MINIMUM_SCOPE",
                HERE,
                "A minimum names what its scope does not have, or lacks what it has.",
                "Name a product, or a product and a quantity, as the scope says.",
            ),
            Row(
                "MINIMUM_DUPLICATE",
                HERE,
                "Two minimums are for the same.",
                "Remove one.",
            ),
            Row(
                "MINIMUM_ASSET_NOT_MONEY",
                HERE,
                "A minimum for cash only stands in a card that is not in money.",
                "Leave `cash_only` out, or use an asset that is money.",
            ),
            Row(
                "CLOCK_MALFORMED",
                HERE,
                "A time of day is none.",
                "Write one such as `08:30`.",
            ),
            Row(
                "HOURS_EMPTY",
                HERE,
                "A window of hours is empty.",
                "Give it an end; a whole day is `00:00` to `24:00`.",
            ),
            Row(
                "WEEKDAYS_MALFORMED",
                HERE,
                "Weekdays are out of order, or none.",
                "Write numbers from 1 (Monday) to 7, ascending, each once.",
            ),
        ),
    ),
    Area(
        "Formulas",
        "pricing.md#formula",
        "Text that computes a price.",
        (
            Row(
                "FORMULA_MALFORMED",
                HERE,
                "The text is no formula at the place that is named.",
                "Correct it there.",
            ),
            Row(
                "FORMULA_FUNCTION_UNKNOWN",
                HERE,
                "The formula calls a function that there is not.",
                "Use one of those that the message lists.",
            ),
            Row(
                "FORMULA_ARGUMENTS",
                HERE,
                "A function has too few or too many arguments.",
                "Give it as many as the message says.",
            ),
            Row(
                "FORMULA_ATTRIBUTE_UNKNOWN",
                HERE,
                "The formula reads an attribute that is not among its own.",
                "Add it to them.",
            ),
            Row(
                "FORMULA_QUANTITY_UNKNOWN",
                HERE,
                "The formula reads a quantity that is no meter of the card.",
                "Declare it, or read another.",
            ),
            Row(
                "FORMULA_TOO_LONG",
                HERE,
                "The formula has too many characters.",
                "Shorten it.",
            ),
            Row(
                "FORMULA_TOO_DEEP",
                HERE,
                "The formula is nested too deeply.",
                "Split it.",
            ),
            Row(
                "FORMULA_TOO_LARGE",
                HERE,
                "The formula has too many parts.",
                "Shorten it.",
            ),
        ),
    ),
    Area(
        "Cost cards",
        "costs.md",
        "What a provider takes.",
        (
            Row(
                "COST_CARD_MISSING",
                HERE,
                "A price rests on costs, and the card names no card of costs.",
                "Name it as `cost_card`.",
            ),
            Row(
                "COST_CARD_UNKNOWN",
                HERE,
                "There is no such card of costs.",
                "Publish it first.",
            ),
            Row(
                "COST_CARD_OWN",
                HERE,
                "A card names itself as its card of costs.",
                "Publish one for the costs.",
            ),
            Row(
                "COST_SCALE_DIFFERS",
                HERE,
                "The card of costs counts a quantity with another scale.",
                "Give both the same scale.",
            ),
            Row(
                "COST_ASSET_DIFFERS",
                HERE,
                "Costs are in another asset than the price on top of them.",
                "Use the same money.",
            ),
            Row(
                "COST_ASSET_NOT_MONEY",
                HERE,
                "Costs are not in money.",
                "Use an asset that is money.",
            ),
            Row(
                "COST_MODEL_INVALID",
                HERE,
                "The card of costs has a volume or cost-plus price.",
                "Use another model.",
            ),
            Row(
                "COST_SCOPE_INVALID",
                HERE,
                "The card of costs counts several accounts together.",
                "Count each account by itself.",
            ),
        ),
    ),
    Area(
        "Overrides",
        "pricing.md#overrides",
        "Prices of one account.",
        (
            Row(
                "NOTHING_TO_MULTIPLY",
                HERE,
                "The card has no price that the override could multiply.",
                "Overwrite it instead.",
            ),
            Row(
                "OVERRIDE_TIE",
                HERE,
                "Two overrides count equally.",
                "Give one another priority.",
            ),
            Row(
                "ASSET_DIFFERS",
                HERE,
                "The override's price is in another asset than the card's.",
                "Say it in that of the card.",
            ),
        ),
    ),
)
