"""Engines against each other and against an independent computation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file
from sklearn.preprocessing import StandardScaler

from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.model.engines import build_engine
from detector.model.folder import load_model
from detector.model.network import Layer, Network
from detector.records import FEATURES

TOLERANCE = 1e-6


def network(members=1, transforms=None, columns=None, seed=0):
    random = np.random.default_rng(seed)

    def layer(wide_in, wide_out):
        return Layer(
            random.normal(size=(wide_out, wide_in)).astype(np.float32), random.normal(size=wide_out).astype(np.float32)
        )

    return Network(
        columns or list(range(7)),
        transforms or ["identity"] * 7,
        random.normal(size=7),
        random.uniform(0.5, 2, size=7),
        [[layer(7, 10), layer(10, 4), layer(4, 1)] for _ in range(members)],
    )


@pytest.fixture(scope="module")
def real_rows():
    return np.array([[row.event[name] for name in FEATURES] for row in read_rows(SAMPLE)], dtype=np.float64)


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_scores_equal_an_independent_computation_on_every_real_row(name, model, real_rows):
    """The daemon's scores are what scikit-learn's scaler and torch's own layers give, to 1e-6."""
    tensors = load_file(model / "weights.safetensors")
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = tensors["scaler.mean"], tensors["scaler.scale"]
    scaler.var_, scaler.n_features_in_ = scaler.scale_**2, 7
    hidden = len(tensors["layers.0.bias"])
    torch_model = torch.nn.Sequential(
        torch.nn.Linear(7, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1), torch.nn.Sigmoid()
    )
    torch_model.load_state_dict(
        {
            f"{2 * i}.{part}": torch.from_numpy(tensors[f"layers.{i}.{part}"])
            for i in (0, 1)
            for part in ("weight", "bias")
        }
    )
    transformed = real_rows.copy()
    for column, transform in enumerate(load_model(model).manifest.feature_transforms()):
        if transform == "signed_log1p":
            transformed[:, column] = [math.copysign(math.log1p(abs(x)), x) for x in real_rows[:, column]]
    with torch.inference_mode():
        inputs = torch.from_numpy(scaler.transform(transformed).astype(np.float32))
        expected = torch_model(inputs)[:, 0].numpy()

    scores = load_model(model).engine(name).score(real_rows)

    assert np.abs(scores - expected).max() <= TOLERANCE


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.float64, st.tuples(st.integers(0, 20), st.just(7)), elements=st.integers(-(2**63), 2**63 - 1).map(float)),
    st.integers(1, 3),
    st.integers(0, 5),
)
# In float32 the sums of this one are 6e-6 apart: what is added up is large, and what is left of it small.
@example(np.array([[-898.0, 0, -401, -1, 0, -13, -151]]), 3, 3)
def test_engines_agree_on_any_events(features, members, seed):
    """An operator can change the engine without an alert changing: ensembles, transforms, extreme values alike."""
    built = network(members, ["identity", "signed_log1p"] * 3 + ["signed_log1p"], seed=seed)
    with_torch, with_numpy = (build_engine(name, built).score(features) for name in ("torch", "numpy"))

    assert with_torch.shape == (len(features),)
    assert ((with_torch >= 0) & (with_torch <= 1)).all()
    assert np.abs(with_torch - with_numpy).max(initial=0) <= TOLERANCE


def test_mount_namespaces_are_told_apart():
    """4026531840 and 4026531841 are the same float32; scaling comes first, in float64."""
    built = network()
    mean, scale = np.zeros(7), np.ones(7)
    mean[4] = 4026531840
    built = Network(built.columns, built.transforms, mean, scale, built.members)
    rows = np.zeros((2, 7))
    rows[:, 4] = 4026531840, 4026531841

    assert built.inputs(rows)[:, 4].tolist() == [0.0, 1.0]


def test_signed_log1p_keeps_sign_and_order():
    """The transform of the contract: sign(x)·ln(1+|x|)."""
    built = Network(list(range(7)), ["signed_log1p"] * 7, np.zeros(7), np.ones(7), network().members)
    values = [-1000.0, -1.0, 0.0, 1.0, 1000.0, 2.0**62, -(2.0**62)]

    assert built.inputs(np.array([values]))[0] == pytest.approx([np.sign(v) * np.log1p(abs(v)) for v in values])


def test_features_in_another_order():
    """A model may list its features in another order than the events have them."""
    forward = network()
    turned = [[Layer(np.ascontiguousarray(m[0].weight[:, ::-1]), m[0].bias), *m[1:]] for m in forward.members]
    backward = Network([6, 5, 4, 3, 2, 1, 0], forward.transforms, forward.mean[::-1], forward.scale[::-1], turned)
    rows = np.random.default_rng(1).normal(size=(50, 7))

    for name in ("torch", "numpy"):
        assert build_engine(name, forward).score(rows) == pytest.approx(
            build_engine(name, backward).score(rows), abs=TOLERANCE
        )
