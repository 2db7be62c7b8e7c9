"""The peers must do the same task as the daemon."""

import importlib
import json

import numpy as np

from detector.features.beth import BETH
from detector.model.engines import NumpyEngine
from detector.model.folder import WEIGHTS, weights_content
from detector.model.network import Layer, Network

_SETTINGS = {
    "KAFKA__BOOTSTRAP_SERVERS": "localhost:9092",
    "KAFKA__EVENTS_TOPIC": "events",
    "KAFKA__ALERTS_TOPIC": "alerts",
    "KAFKA__GROUP_ID": "group",
    "BATCH__MAX_RECORDS": "2000",
    "BATCH__MAX_WAIT_MS": "20",
}


def test_peers_score_as_the_daemon_does(tmp_path, monkeypatch):
    """Otherwise the benchmark would compare the daemon with a peer that does less work."""
    random = np.random.default_rng(0)

    def layer(inputs, outputs):
        weights = random.normal(size=(outputs, inputs)), random.normal(size=outputs)
        return Layer(*(values.astype(np.float32) for values in weights))

    transforms = ["identity"] * 6 + ["signed_log1p"]
    members = [[layer(7, 10), layer(10, 1)] for _ in range(2)]
    network = Network(list(range(7)), transforms, random.normal(size=7), random.uniform(0.5, 2, size=7), members)
    (tmp_path / WEIGHTS).write_bytes(weights_content(network))
    manifest = {"features": BETH.names, "transforms": transforms, "layers": [7, 10, 1], "threshold": 0.5}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for name, value in {**_SETTINGS, "MODEL__PATH": str(tmp_path)}.items():
        monkeypatch.setenv(f"DETECTOR_{name}", value)
    rows = random.integers(-9, 9, size=(50, 7))

    job = importlib.import_module("benchmarks.peers.job").Job(tmp_path)
    scores = job.scores([dict(zip(BETH.names, row.tolist(), strict=True)) for row in rows])

    np.testing.assert_allclose(scores, NumpyEngine(network).score(rows.astype(np.float64)), atol=1e-6)
