"""Data shipped with rating: the public map of LLM prices (see NOTICE). Reads files, parses none."""

from importlib.resources import files

import zstandard

PRICE_MAP = "model_prices_and_context_window.json"


def price_map() -> bytes:
    """The public LLM price map as of 2026-07-24, as JSON text."""
    body = (files(__name__) / f"{PRICE_MAP}.zst").read_bytes()
    return zstandard.ZstdDecompressor().decompress(body)
