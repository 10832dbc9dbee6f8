"""Generate the Python modules of the contract: `python protos/generate.py [--output DIRECTORY]`.

Reads `protos/**/*.proto`, writes messages, stubs and their types into the packages `ledger.v1` and
`rating.v1` (a proto's directory is its package, so the generated imports resolve as they stand).
Deletes generated modules whose proto is gone. Needs no network; the result depends only on the
protos and on the pinned versions of grpcio-tools and mypy-protobuf, and is committed. It must not
touch a file that it did not generate.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
from pathlib import Path

from grpc_tools import _proto as well_known
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(output: Path) -> None:
    """Write the generated modules below `output`; raises SystemExit where protoc refuses."""
    sources = sorted(path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto"))
    for package in sorted({source.parent for source in sources}):
        (output / package).mkdir(parents=True, exist_ok=True)
        for pattern in GENERATED:
            for stale in (output / package).glob(pattern):
                stale.unlink()
    with_service = [s for s in sources if "\nservice " in (PROTOS / s).read_text(encoding="utf-8")]
    run(sources, f"--python_out={output}", f"--mypy_out={output}")
    run(with_service, f"--grpc_python_out={output}", f"--mypy_grpc_out={output}")


def run(sources: list[Path], *options: str) -> None:
    """Run protoc on `sources`, with this interpreter's own plugins first on the path."""
    scripts = sysconfig.get_path("scripts")
    os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    include = Path(well_known.__path__[0])
    arguments = ["protoc", f"-I{PROTOS}", f"-I{include}", *options, *map(Path.as_posix, sources)]
    status = protoc.main(arguments)
    if status != 0:
        sys.exit(f"protoc failed with status {status} on {len(sources)} files below {PROTOS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate the Python modules of the contract.")
    parser.add_argument(
        "--output",
        type=Path,
        default=PROTOS.parent,
        help="directory that holds the packages (default: the project)",
    )
    generate(parser.parse_args().output)
