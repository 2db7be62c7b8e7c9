"""Writes the dashboards' JSON, which Grafana is provisioned with: `make dashboards`."""

from deploy.grafana.source import FOLDER, dashboards

FOLDER.mkdir(exist_ok=True)
for name, content in dashboards().items():
    (FOLDER / name).write_text(content)
