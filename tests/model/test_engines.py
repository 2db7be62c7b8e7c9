"""The engines agree with each other, and with an independent computation."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file
from sklearn.preprocessing import StandardScaler

from detector.events.rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.model.engines import build_engine
from detector.model.folder import load_model
from detector.model.network import Layer, Network
from tests.model.networks import random_network

TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def real_rows():
    rows = read_rows(SAMPLE, BETH.fields)
    return np.array([[row.event[field] for field in BETH.fields] for row in rows], dtype=np.float64)


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_scores_equal_an_independent_computation_on_every_real_row(name, model, real_rows):
    """Otherwise the service would compute other scores than scikit-learn's scaler and torch's layers do."""
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


@settings(max_examples=50)
@given(
    arrays(np.float64, st.tuples(st.integers(0, 20), st.just(7)), elements=st.integers(-(2**63), 2**63 - 1).map(float)),
    st.integers(1, 3),
    st.integers(0, 5),
)
# In float32 the engines' scores of this row differ by 6e-6: large terms cancel.
@example(np.array([[-898.0, 0, -401, -1, 0, -13, -151]]), 3, 3)
def test_engines_agree_on_any_events(features, members, seed):
    """Otherwise a change from one engine to the other would change alerts."""
    network = random_network(members, ["identity", "signed_log1p"] * 3 + ["signed_log1p"], seed=seed)
    with_torch, with_numpy = (build_engine(name, network).score(features) for name in ("torch", "numpy"))

    assert with_torch.shape == (len(features),)
    assert ((with_torch >= 0) & (with_torch <= 1)).all()
    assert np.abs(with_torch - with_numpy).max(initial=0) <= TOLERANCE


def test_mount_namespaces_that_differ_by_1_have_different_inputs():
    """Otherwise the model could not tell containers apart, because their numbers are equal when rounded to float32."""
    network = random_network()
    mean = np.zeros(7)
    mean[4] = 4026531840
    network = dataclasses.replace(network, mean=mean, scale=np.ones(7))
    rows = np.zeros((2, 7))
    rows[:, 4] = 4026531840, 4026531841

    assert network.inputs(rows)[:, 4].tolist() == [0.0, 1.0]


def test_signed_log1p_keeps_sign_and_order():
    """Otherwise models with this transform would get other inputs than in training."""
    network = dataclasses.replace(random_network(transforms=["signed_log1p"] * 7), mean=np.zeros(7), scale=np.ones(7))
    values = [-1000.0, -1.0, 0.0, 1.0, 1000.0, 2.0**62, -(2.0**62)]

    assert network.inputs(np.array([values]))[0] == pytest.approx([np.sign(v) * np.log1p(abs(v)) for v in values])


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_features_in_another_order_give_the_same_scores(name):
    """Otherwise a model that lists its features in another order than the feature set would use wrong columns."""
    forward = random_network()
    reversed_layers = [
        [Layer(np.ascontiguousarray(first.weight[:, ::-1]), first.bias), *others] for first, *others in forward.members
    ]
    backward = Network(
        [6, 5, 4, 3, 2, 1, 0], forward.transforms, forward.mean[::-1], forward.scale[::-1], reversed_layers
    )
    rows = np.random.default_rng(1).normal(size=(50, 7))

    expected = build_engine(name, forward).score(rows)

    assert build_engine(name, backward).score(rows) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("columns", [[3], [6, 0, 3]])
@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_model_uses_only_its_own_features_in_any_order(name, columns):
    """Otherwise a model that uses only some of the features would score the wrong columns, or fail."""
    subset = random_network(columns=columns, transforms=["signed_log1p", "identity", "identity"])
    rows = np.random.default_rng(1).normal(size=(50, 7))
    selected = dataclasses.replace(subset, columns=list(range(len(columns))))

    scores = build_engine(name, subset).score(rows)

    assert scores == pytest.approx(build_engine(name, selected).score(rows[:, columns]), abs=TOLERANCE)
    other_columns_changed = rows + np.isin(np.arange(7), columns, invert=True)
    assert np.array_equal(build_engine(name, subset).score(other_columns_changed), scores)
