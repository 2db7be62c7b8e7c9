"""The Grafana dashboards: `make dashboards` writes them to deploy/grafana/dashboards as JSON, which is committed."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.source import internals, overview
from deploy.grafana.source.layout import dashboard

FOLDER = Path(__file__).parents[1] / "dashboards"


def dashboards() -> dict[str, str]:
    """Each dashboard's JSON, by file name."""
    pair = overview.PAGE, internals.PAGE
    return {
        f"{page.uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(dashboard(page, other.uid).build()) + "\n"
        for page, other in zip(pair, reversed(pair), strict=True)
    }
