"""Worlds leave coroutines behind; they end before a test begins, not amid one."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def nothing_left_of_other_tests() -> None:
    gc.collect()
