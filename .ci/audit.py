"""Known vulnerabilities of each pinned dependency, by pip-audit, or that it cannot look: `python .ci/audit.py`."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PINS = Path(__file__).parents[1] / "requirements.lock"


def main() -> int:
    """0: looked, none known; 1: some are known; 2: could not look, wholly or in part."""
    report = _report()
    if isinstance(report, str):
        return _say(f"not audited: {report}", 2)
    vulnerable = [f"{name}: {known['id']}" for name, known in _vulnerabilities(report)]
    skipped = [package["name"] for package in report if "skip_reason" in package]
    if vulnerable:
        return _say("\n".join(vulnerable), 1)
    if skipped:
        return _say(f"not audited: {len(skipped)} of {len(report)} packages, this index knows no advisories of them", 2)
    return _say(f"{len(report)} packages audited, no known vulnerability", 0)


def _report() -> "list[dict[str, Any]] | str":
    """What pip-audit found for each package, or why it could not look."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINS), "--no-deps", "--disable-pip"]
        command += ["--progress-spinner", "off", "--format", "json", "--output", f"{folder}/report.json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            packages: list[dict[str, Any]] = json.loads(Path(folder, "report.json").read_bytes())["dependencies"]
        except OSError:
            return next(iter(done.stderr.strip().splitlines()[-1:]), "pip-audit said nothing")
        return packages


def _vulnerabilities(report: "list[dict[str, Any]]") -> "list[tuple[str, dict[str, Any]]]":
    return [(package["name"], known) for package in report for known in package.get("vulns", [])]


def _say(text: str, code: int) -> int:
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
