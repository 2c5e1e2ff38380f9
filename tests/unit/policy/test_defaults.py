"""The table of defaults: rendered from the annotations, and current."""

import runpy
from pathlib import Path

import pytest

from meshlib.policy.defaults import render, rows
from meshlib.policy.spec import MeshOptions, ServicePolicy
from meshlib.routing import Share

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "defaults.md"


def test_the_page_is_current() -> None:
    """docs/reference/defaults.md is what the source says."""
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "python -m meshlib.policy.defaults > docs/reference/defaults.md"
    )


def test_every_option_has_a_reason() -> None:
    """No option without a sentence about it."""
    for kind in (ServicePolicy, MeshOptions, Share):
        assert [row.key for row in rows("", kind) if not row.reason] == []


def test_defaults_of_the_design() -> None:
    """The numbers of the design's table are the numbers of the source."""
    found = {row.key: row.default for row in rows("", ServicePolicy)}
    assert found["timeout"] == "`10.0`"
    assert found["retry.attempts"] == "`3`"
    assert found["retry.budget.ratio"] == "`0.2`"
    assert found["limit.concurrency"] == "none"
    assert (found["hedge"], found["breaker"], found["subsets"]) == ("off", "on", "empty")
    assert next(rows("", Share)).default == "required"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_runs_as_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m meshlib.policy.defaults` prints the page."""
    runpy.run_module("meshlib.policy.defaults", run_name="__main__")
    assert capsys.readouterr().out == render()
