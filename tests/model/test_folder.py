"""The model folder: a written model can be read, and invalid folders are rejected."""

import hashlib
import io
import json
import os
import pickle
import shutil
import struct
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from detector.errors import ModelError, UsageError
from detector.model.describe import describe, verify
from detector.model.engines import NumpyEngine, build_engine
from detector.model.folder import load_model, make_current, save_model, weights_content
from detector.model.manifest import parse_manifest
from tests.model.networks import random_network


@pytest.fixture
def folder(model, tmp_path):
    """A copy of the model folder, for tests that damage it."""
    return shutil.copytree(model.resolve(), tmp_path / "model")


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder, **changes):
    tensors = load_file(folder / "weights.safetensors") | changes
    write_weights(folder, save({name: tensor for name, tensor in tensors.items() if tensor is not None}))


def write_weights(folder, content):
    (folder / "weights.safetensors").write_bytes(content)
    change_manifest(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def rejection(folder):
    """The error with which a model folder is rejected; fails if it is accepted."""
    with pytest.raises(ModelError) as caught:
        load_model(folder).engine("numpy")
    assert caught.value.exit_code == 3
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_manifest_has_the_names_of_the_contract(model):
    """Otherwise tools that read the manifest by these names would fail."""
    manifest = json.loads((model / "manifest.json").read_text())

    assert manifest["schema"] == "detector.model/1"
    assert set(manifest) >= {
        "name", "version", "created_at", "features", "transforms", "layers", "threshold", "weights_sha256", "training",
        "metrics", "golden",
    }  # fmt: skip
    assert set(manifest["training"]) >= {"recipe", "seed", "files", "rows", "positives", "libraries"}
    assert len(manifest["training"]["files"][0]["sha256"]) == 64
    assert set(manifest["metrics"]) == {"train", "validation", "test"}


def test_missing_folder_is_an_error_that_says_how_to_train_a_model(tmp_path):
    """Otherwise a newcomer without a model would not know what to do."""
    with pytest.raises(
        ModelError, match=r"nothing: no such model folder; train a model with `detector train DATA`, or set DETECTOR"
    ):
        load_model(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_missing_file_is_named(folder, name):
    """Otherwise an operator would not know which file is missing in a deployment."""
    (folder / name).unlink()

    assert f"{name}: cannot be read: No such file" in rejection(folder)


def test_changed_weights_are_rejected_because_of_their_hash(folder):
    """Otherwise the service would score events with damaged weights."""
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)

    assert "weights.safetensors: sha256 is" in rejection(folder)


def test_pickle_with_the_name_of_the_weights_is_rejected_and_not_executed(folder):
    """Otherwise a stranger's model folder could execute code."""

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    write_weights(folder, pickle.dumps(Bomb()))

    assert "weights.safetensors" in rejection(folder)


def test_archive_of_torch_with_the_name_of_the_weights_is_rejected(folder):
    """Otherwise a stranger's model folder could execute code, because archives of `torch.save` contain a pickle."""
    archive = io.BytesIO()
    torch.save({"layers.0.weight": torch.zeros(10, 7)}, archive)
    write_weights(folder, archive.getvalue())

    assert "weights.safetensors" in rejection(folder)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_link_out_of_the_folder_is_rejected(folder, tmp_path, name):
    """Otherwise a stranger's model folder could make the service read other files and log their contents."""
    (folder / name).replace(tmp_path / "outside")
    (folder / name).symlink_to("../outside")

    assert f"{name}: is a link to a file outside of the model folder" in rejection(folder)


def test_links_within_the_folder_and_from_current_are_followed(folder, tmp_path):
    """Otherwise model folders in Kubernetes, whose files are links to a hidden folder, would be rejected."""
    (folder / "..data").mkdir()
    for name in ("manifest.json", "weights.safetensors"):
        (folder / name).replace(folder / "..data" / name)
        (folder / name).symlink_to(f"..data/{name}")
    (tmp_path / "current").symlink_to("model")

    load_model(tmp_path / "current").engine("numpy")


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_pipe_or_link_to_itself_is_rejected_at_once(folder, name):
    """Otherwise the service would wait without end at its start."""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{name}: is not a regular file" in rejection(folder)

    (folder / name).unlink()
    (folder / name).symlink_to(name)
    assert f"{name}: cannot be read: " in rejection(folder)


@pytest.mark.parametrize(("name", "limit"), [("manifest.json", 2**24), ("weights.safetensors", 2**28)])
def test_oversized_file_is_rejected_unread(folder, name, limit):
    """Otherwise a huge file would use up the host's memory."""
    with (folder / name).open("r+b") as file:
        file.truncate(2**40)

    assert f"bytes, but at most {limit} are permitted" in rejection(folder)


def safetensors_file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        safetensors_file(b"{" * 5000),
        safetensors_file({"scaler.mean": {"dtype": "F64", "shape": [7], "data_offsets": [0, 2**60]}}),
        safetensors_file({"scaler.mean": {"dtype": "F64", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors_file({"scaler.mean": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors_file({"scaler.mean": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors_file(
            {name: {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for name in ("scaler.mean", "scaler.scale")},
            bytes(8),
        ),
    ],
    ids=["empty", "huge header", "short file", "nested", "offsets", "overflow", "shape", "negative", "overlapping"],
)
def test_weights_with_wrong_lengths_are_rejected(folder, content):
    """Otherwise a wrong length in a file would make the service allocate memory, or read beyond the file."""
    write_weights(folder, content)

    assert "weights.safetensors" in rejection(folder)


@pytest.mark.parametrize(
    ("tensors", "error"),
    [
        ({"layers.0.weight": None}, "tensor layers.0.weight is missing"),
        ({"layers.0.bias": np.zeros(3, np.float32)}, "tensor layers.0.bias is float32[3]"),
        ({"layers.0.bias": np.zeros(10, np.float64)}, "tensor layers.0.bias is float64[10]"),
        ({"layers.1.bias": np.full(1, np.nan, np.float32)}, "not finite"),
        ({"layers.1.bias": np.full(1, np.inf, np.float32)}, "not finite"),
        ({"scaler.mean": np.full(7, np.nan)}, "not finite"),
        ({"layers.0.weight": np.zeros((7, 10), np.float32)}, "tensor layers.0.weight is float32[7, 10]"),
        ({"layers.0.weight": np.zeros((10, 70_000), np.float32)}, "tensor layers.0.weight is float32[10, 70000]"),
        ({"../../evil": np.zeros(1)}, "unexpected tensors ../../evil"),
        ({"scaler.scale": np.zeros(7)}, "not positive"),
        ({"scaler.mean": np.zeros(7, np.float32)}, "tensor scaler.mean is float32[7]"),
        ({"extra": np.zeros(1)}, "unexpected tensors extra"),
        ({"members.0.layers.0.bias": np.zeros(10, np.float32)}, "weights.safetensors: "),
    ],
)
def test_wrong_tensors_are_rejected(folder, tensors, error):
    """Otherwise the service would score events with weights that do not fit the manifest."""
    change_tensors(folder, **tensors)

    assert error in rejection(folder)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"schema": "detector.model/9"}, "this version reads 'detector.model/1'"),
        ({"version": "../../etc"}, "version '../../etc' has characters other than letters, digits and ._+-"),
        ({"version": "/etc"}, "version '/etc'"),
        ({"version": ".."}, "version '..'"),
        ({"name": "a\n{}"}, "name 'a\\n{}'"),
        ({"features": ["a"]}, "features are ['a']; expected some of ['processId', "),
        ({"features": []}, "features are []; expected some of "),
        ({"features": ["userId", "userId"]}, "features are ['userId', 'userId']; expected some of "),
        ({"features": ["userId", "argsNum"], "transforms": []}, "layers are [7, 32, 1]; expected 2 first"),
        ({"features": ["userId"] * 7}, "each at most once"),
        ({"features": "userId"}, "Expected `array`, got `str` - at `$.features`"),
        ({"transforms": ["identity"]}, "1 transforms for 7 features"),
        ({"transforms": ["sqrt"] * 7}, "unknown transforms"),
        ({"layers": [7]}, "layers are [7]"),
        ({"layers": [7, 0, 1]}, "layers are [7, 0, 1]"),
        ({"layers": [7, 2**40, 1]}, "the manifest's features and layers need float32[1099511627776, 7]"),
        ({"layers": [7, *[2] * 100_000, 1]}, "weights.safetensors: tensor layers.0.weight is"),
        ({"threshold": 1.5}, "threshold 1.5 is not in [0, 1]"),
        ({"threshold": "high"}, "Expected `float`"),
        ({"golden": {"rows": [], "scores": []}}, "golden batch is empty"),
        ({"golden": {"rows": [[0, 0]], "scores": [0.5]}}, "rows of other than 7 values"),
        ({"golden": {"rows": [[0] * 7], "scores": [0.5, 0.5]}}, "not one score for each row"),
        (
            {"golden": {"rows": [[0, 0, 0, 0, 0, 0, 0]], "scores": [0.123]}},
            "engine numpy scores the golden batch differently than the manifest expects, by up to",
        ),
    ],
)
def test_wrong_manifest_is_rejected(folder, changes, error):
    """Otherwise an operator would not know which entry of the manifest is wrong."""
    change_manifest(folder, **changes)

    assert error in rejection(folder)


def test_truncated_manifest_is_rejected(folder):
    """Otherwise a folder that was not copied completely would give a traceback."""
    (folder / "manifest.json").write_text('{"schema": ')

    assert "manifest.json: " in rejection(folder)


def test_ensemble_is_written_and_read_back(folder):
    """Otherwise an ensemble would give other scores after it was written to a folder."""
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    network = random_network(members=3)
    write_weights(folder, weights_content(network))
    change_manifest(folder, layers=[7, 10, 4, 1])
    rows = np.array(manifest.golden.rows)

    read = load_model(folder).network

    assert len(read.members) == 3
    assert np.array_equal(build_engine("numpy", read).score(rows), build_engine("numpy", network).score(rows))


def test_version_is_written_completely_or_not_at_all(models, model, tmp_path):
    """Otherwise a daemon could load a half-written version, or an existing version could be overwritten."""
    manifest = load_model(model).manifest
    written = save_model(tmp_path, manifest, {"weights.safetensors": b"x"})

    assert sorted(file.name for file in written.iterdir()) == ["manifest.json", "weights.safetensors"]
    with pytest.raises(UsageError, match="cannot write the model: Directory not empty"):
        save_model(tmp_path, manifest, {"weights.safetensors": b"y"})
    assert (written / "weights.safetensors").read_bytes() == b"x"
    assert [entry.name for entry in tmp_path.iterdir()] == [manifest.version]


def test_current_is_a_relative_link_to_the_newest_version(tmp_path):
    """Otherwise a folder of models could not be moved, or mounted at another path."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        current = make_current(tmp_path / version)

        assert str(current.readlink()) == version


def test_folder_can_be_verified_and_described(model, folder):
    """Otherwise `model show` would lack what users look for, or `model verify` would accept a damaged folder."""
    lines = "\n".join(describe(load_model(model).manifest))
    assert "7 → 32 → 1" in lines
    assert "beth-train-head12500.csv" in lines

    assert [passed for passed, _ in verify(model)] == [True] * 5
    change_manifest(folder, threshold=2)
    assert [passed for passed, _ in verify(folder)] == [False]


def test_model_that_only_one_engine_reproduces_is_rejected(model, monkeypatch):
    """Otherwise instances with torch and instances with numpy would give different scores."""
    monkeypatch.setattr(NumpyEngine, "score", lambda _self, features: np.zeros(len(features)))

    with pytest.raises(
        ModelError,
        match=r"engine numpy scores the golden batch differently .*; point models/current at the previous version",
    ):
        load_model(model).engine("torch")


def test_model_with_two_of_the_features_in_another_order_is_read(folder):
    """Otherwise a model that was trained on some of the features would be rejected, or use wrong columns."""
    rows = np.array([[3.0, -2.0], [0.0, 0.0]])  # userId, returnValue: the order of the feature set
    network = random_network(columns=[1, 0])
    scores = build_engine("numpy", network).score(rows)
    write_weights(folder, weights_content(network))
    golden = {"rows": rows.tolist(), "scores": scores.tolist()}
    change_manifest(folder, features=["returnValue", "userId"], transforms=[], layers=[2, 10, 4, 1], golden=golden)

    for name in ("torch", "numpy"):
        assert load_model(folder).engine(name).score(rows) == pytest.approx(scores, abs=1e-6)
