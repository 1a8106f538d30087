"""What every test runs under: run-time shape checks, fixed threads, no silent skips."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from command_line import CommandLine

if TYPE_CHECKING:
    from worldline.models.loader import LoadedModel

STRICT = os.environ.get("WORLDLINE_STRICT") == "1"

# One thread each: two test processes share two cores, and sums come out the same every time.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# A test that asks for a second thread does not have it spin while the other process computes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Runs and verdicts of tests go to a folder of their own, never to the user's.
_RUNS = tempfile.TemporaryDirectory(prefix="worldline-runs-")
os.environ["WORLDLINE_DATA"] = _RUNS.name

if any(name.partition(".")[0] == "worldline" for name in sys.modules):
    raise RuntimeError("worldline was imported before its run-time type checks were installed")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"jaxtyping|beartype")
    from checked_types import check_types

    # apps is left out: typer hands its commands another Context than the one it has them name.
    package = Path(__file__).parents[1] / "src" / "worldline"
    parts = {entry.stem for entry in package.iterdir()} - {"apps", "__init__", "__pycache__"}
    check_types([f"worldline.{part}" for part in sorted(parts)])

settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.register_profile("strict", settings.get_profile("local"), derandomize=True)
settings.load_profile("strict" if STRICT or os.environ.get("CI") else "local")


def _failed(report: Any) -> Any:
    """Turn a skip into a failure that says why it was a skip."""
    if STRICT and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"WORLDLINE_STRICT=1 allows no skips: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return _failed((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return _failed((yield))


@pytest.fixture(scope="session")
def bundled() -> LoadedModel:
    """The bundled model; its first use converts it, in one test process at a time."""
    from worldline.models.loader import load_model

    with FileLock(Path(tempfile.gettempdir()) / f"worldline-bundled-{os.getuid()}.lock"):
        return load_model("bundled")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(folder))
        yield folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Runs `worldline` with the given words, in this process."""
    return CommandLine(capsys, monkeypatch)
