"""The command: run every check, print one line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from meshlib.cli.doctor.configured import check_policy, check_registries
from meshlib.cli.doctor.finding import Finding, fail
from meshlib.cli.doctor.installed import check_names, check_versions
from meshlib.cli.doctor.neighbours import check_instrumentation, check_proxies, check_sidecar
from meshlib.cli.doctor.process import check_clock, check_descriptors, check_fork

__all__ = ["CHECKS", "add", "examine", "run"]

Check = Callable[[str | None], Iterator[Finding]]

CHECKS: Sequence[Check] = (
    check_versions,
    check_names,
    check_policy,
    check_registries,
    check_clock,
    check_fork,
    check_descriptors,
    check_sidecar,
    check_instrumentation,
    check_proxies,
)


def add(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "doctor",
        help="what is likely to go wrong here, and what to do",
        description="Checks registries, policy, clock, fork and loop safety, sidecars, other instrumentation, and versions, "
        "in the environment it is run in. Exit status 1 when something fails.",
    )
    parser.add_argument("--config", metavar="FILE", help="a meshlib document (default: MESHLIB_CONFIG)")
    parser.add_argument("--json", action="store_true", help="one JSON list")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """1 when any check fails."""
    failed = 0
    findings = []
    for finding in examine(options.config):
        failed += finding.level == "fail"
        findings.append(finding)
        if not options.json:
            print(f"{finding.level:<5}{finding.subject}: {finding.text}", flush=True)
            if finding.advice:
                print(f"     -> {finding.advice}", flush=True)
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    return 1 if failed else 0


def examine(config: str | None, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """All findings. A check that breaks is a finding too, and does not stop the others."""
    for check in checks:
        try:
            yield from check(config)
        except Exception as error:
            name = check.__name__.removeprefix("check_")
            yield fail(name, f"the check itself failed: {type(error).__name__}: {error}", "please report it")
