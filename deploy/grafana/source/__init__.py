"""The source of the Grafana dashboards; `make dashboards` writes them as JSON, which is committed, to `FOLDER`."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.source import internals, overview
from deploy.grafana.source.layout import build

FOLDER = Path(__file__).parents[1] / "dashboards"


def dashboards() -> dict[str, str]:
    """The JSON of each dashboard, by file name."""
    pair = overview.DASHBOARD, internals.DASHBOARD
    return {
        f"{dashboard.uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(build(dashboard, other.uid).build())
        + "\n"
        for dashboard, other in zip(pair, reversed(pair), strict=True)
    }
