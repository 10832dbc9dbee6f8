"""The examples of docs/pricing.md are run as they stand: every figure is what rating says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "pricing.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    names: dict[str, Any] = {}
    exec(compile(code, PAGE.name, "exec"), names)
    said = []
    for line in code.splitlines():
        beside = re.search(r"^print\(.*\)  # (.*)$", line)
        below = re.match(r"# (.*)$", line)
        if beside or below:
            said.append((beside or below)[1])
    assert len(said) > 25
    assert capsys.readouterr().out.splitlines() == said
