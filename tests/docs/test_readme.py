"""The README's Python example is run as it stands, against a real server."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.crash.processes import ServerProcess

README = Path(__file__).parents[2] / "README.md"


async def test_the_python_example_runs(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    code = example.group(1)
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    main: Callable[[str], Awaitable[None]] = names["main"]  # type: ignore[assignment]
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        await main(server.address)
    finally:
        server.stop()
    said = re.findall(r"print\(.*\)  # (.*)", code)
    assert capsys.readouterr().out.splitlines() == said


def test_every_relative_link_leads_somewhere() -> None:
    for page in [README, *README.parent.glob("docs/*.md"), README.parent / "ARCHITECTURE.md"]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
