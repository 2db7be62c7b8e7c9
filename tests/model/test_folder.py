"""The model folder: what is written can be read, and what is not a model is refused."""

import json
import os
import pickle
import shutil
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from detector.errors import ModelError, UsageError
from detector.model.describe import describe, verify
from detector.model.engines import NumpyEngine
from detector.model.folder import load_model, make_current, save_model, weights_content
from detector.model.manifest import parse_manifest
from tests.model.test_engines import network


@pytest.fixture
def copy(model, tmp_path):
    """A model folder that a test may break."""
    return shutil.copytree(model.resolve(), tmp_path / "model")


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder, **changes):
    tensors = load_file(folder / "weights.safetensors") | changes
    write_weights(folder, save({name: tensor for name, tensor in tensors.items() if tensor is not None}))


def write_weights(folder, content):
    import hashlib

    (folder / "weights.safetensors").write_bytes(content)
    change_manifest(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def refused(folder):
    with pytest.raises(ModelError) as caught:
        load_model(folder).engine("numpy")
    assert caught.value.exit_code == 3
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_manifest_has_the_names_of_the_contract(model):
    """Other tools read the manifest by these names."""
    manifest = json.loads((model / "manifest.json").read_text())

    assert manifest["schema"] == "detector.model/1"
    assert set(manifest) >= {
        "name", "version", "created_at", "features", "transforms", "layers", "threshold", "weights_sha256", "training",
        "metrics", "golden",
    }  # fmt: skip
    assert set(manifest["training"]) >= {"recipe", "seed", "files", "rows", "positives", "libraries"}
    assert len(manifest["training"]["files"][0]["sha256"]) == 64
    assert set(manifest["metrics"]) == {"train", "validation", "test"}


def test_missing_folder_says_how_to_make_one(tmp_path):
    """The first thing that a newcomer sees when there is no model."""
    with pytest.raises(ModelError, match=r"nothing: no model folder there: make one with `python train.py DATA`"):
        load_model(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_missing_file_is_named(copy, name):
    """Half a model is none."""
    (copy / name).unlink()

    assert f"{name}: cannot be read: No such file" in refused(copy)


def test_changed_weights_are_refused_by_their_hash(copy):
    """One flipped bit is noticed before anything is scored."""
    content = bytearray((copy / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "weights.safetensors").write_bytes(content)

    assert "its sha256 is" in refused(copy)


def test_pickle_in_disguise_is_refused_without_being_run(copy):
    """Nothing in a model folder is ever unpickled."""

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    write_weights(copy, pickle.dumps(Bomb()))

    assert "weights.safetensors" in refused(copy)


def test_archive_of_torch_in_disguise_is_refused(copy):
    """What `torch.save` writes carries a pickle, whatever the file's name says."""
    import io

    import torch

    archive = io.BytesIO()
    torch.save({"layers.0.weight": torch.zeros(10, 7)}, archive)
    write_weights(copy, archive.getvalue())

    assert "weights.safetensors" in refused(copy)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_link_out_of_the_folder_is_refused(copy, tmp_path, name):
    """A model folder from a stranger reads nothing of this host, such as a key that it would then log."""
    (copy / name).replace(tmp_path / "outside")
    (copy / name).symlink_to("../outside")

    assert f"{name}: is a link out of the model folder" in refused(copy)


def test_links_within_the_folder_and_from_current_are_followed(copy, tmp_path):
    """Kubernetes mounts files as links to a hidden folder beside them, and `current` is a link by design."""
    (copy / "..data").mkdir()
    for name in ("manifest.json", "weights.safetensors"):
        (copy / name).replace(copy / "..data" / name)
        (copy / name).symlink_to(f"..data/{name}")
    (tmp_path / "current").symlink_to("model")

    load_model(tmp_path / "current").engine("numpy")


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_what_is_no_regular_file_is_refused_at_once(copy, name):
    """Nobody waits for a pipe that nobody writes to, or for a link to itself."""
    (copy / name).unlink()
    os.mkfifo(copy / name)
    assert f"{name}: is not a regular file" in refused(copy)

    (copy / name).unlink()
    (copy / name).symlink_to(name)
    assert f"{name}: cannot be read: " in refused(copy)


@pytest.mark.parametrize(("name", "limit"), [("manifest.json", 2**24), ("weights.safetensors", 2**28)])
def test_oversized_file_is_refused_unread(copy, name, limit):
    """A terabyte of nothing costs no memory."""
    with (copy / name).open("r+b") as file:
        file.truncate(2**40)

    assert f"{name}: larger than {limit} bytes" in refused(copy)


def safetensors_file(header, data=b""):
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
def test_weights_that_lie_about_their_lengths_are_refused(copy, content):
    """No length in the file is believed: nothing is allocated or read for it."""
    write_weights(copy, content)

    assert "weights.safetensors" in refused(copy)


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
def test_wrong_tensors_are_refused(copy, tensors, error):
    """A model that does not fit its manifest never scores an event."""
    change_tensors(copy, **tensors)

    assert error in refused(copy)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"schema": "detector.model/9"}, "this version reads 'detector.model/1'"),
        ({"version": "../../etc"}, "version '../../etc' is not of letters, digits and ._+- alone"),
        ({"version": "/etc"}, "version '/etc'"),
        ({"version": ".."}, "version '..'"),
        ({"name": "a\n{}"}, "name 'a\\n{}'"),
        ({"features": ["a"]}, "features are ['a']"),
        ({"transforms": ["identity"]}, "1 transforms for 7 features"),
        ({"transforms": ["sqrt"] * 7}, "unknown transforms"),
        ({"layers": [7]}, "layers are [7]"),
        ({"layers": [7, 0, 1]}, "layers are [7, 0, 1]"),
        ({"layers": [7, 2**40, 1]}, "the manifest's layers want float32[1099511627776, 7]"),
        ({"layers": [7, *[2] * 100_000, 1]}, "weights.safetensors: tensor layers.0.weight is"),
        ({"threshold": 1.5}, "threshold 1.5 is not in [0, 1]"),
        ({"threshold": "high"}, "Expected `float`"),
        ({"golden": {"rows": [], "scores": []}}, "golden batch"),
        (
            {"golden": {"rows": [[0, 0, 0, 0, 0, 0, 0]], "scores": [0.123]}},
            "gives the golden batch scores that are off",
        ),
    ],
)
def test_wrong_manifest_is_refused(copy, changes, error):
    """Each is told in the words of the manifest."""
    change_manifest(copy, **changes)

    assert error in refused(copy)


def test_manifest_that_is_no_json(copy):
    """A truncated copy is refused."""
    (copy / "manifest.json").write_text('{"schema": ')

    assert "manifest.json: " in refused(copy)


def test_ensemble_is_written_and_read_back(copy):
    """An ensemble's layers go under members.<m>., and its score is the mean of the members'."""
    manifest = parse_manifest((copy / "manifest.json").read_bytes())
    built = network(members=3)
    write_weights(copy, weights_content(built))
    change_manifest(copy, layers=[7, 10, 4, 1])
    rows = np.array(manifest.golden.rows)
    from detector.model.engines import build_engine

    read = load_model(copy).network

    assert len(read.members) == 3
    assert np.array_equal(build_engine("numpy", read).score(rows), build_engine("numpy", built).score(rows))


def test_version_is_written_whole_or_not_at_all(models, model, tmp_path):
    """A reader never sees a half-written version, and an existing one is never overwritten."""
    manifest = load_model(model).manifest
    written = save_model(tmp_path, manifest, {"weights.safetensors": b"x"})

    assert sorted(file.name for file in written.iterdir()) == ["manifest.json", "weights.safetensors"]
    with pytest.raises(UsageError, match="could not be written"):
        save_model(tmp_path, manifest, {"weights.safetensors": b"y"})
    assert (written / "weights.safetensors").read_bytes() == b"x"
    assert [entry.name for entry in tmp_path.iterdir()] == [manifest.version]


def test_current_moves_from_one_version_to_the_next(tmp_path):
    """`models/current` is a relative link, so the folder can be moved and mounted elsewhere."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        current = make_current(tmp_path / version)

        assert str(current.readlink()) == version


def test_verify_and_describe(model, copy):
    """`model show` names what matters; `model verify` lists what it checked, and fails on a broken folder."""
    shown = "\n".join(describe(load_model(model).manifest))
    assert "7 → 32 → 1" in shown
    assert "beth-train-head12500.csv" in shown

    assert [ok for ok, _ in verify(model)] == [True] * 5
    change_manifest(copy, threshold=2)
    assert [ok for ok, _ in verify(copy)] == [False]


def test_model_that_one_engine_only_reproduces_is_refused(model, monkeypatch):
    """A fleet may have torch here and numpy there: what scores differently on one of them is taken by none."""
    monkeypatch.setattr(NumpyEngine, "score", lambda _self, features: np.zeros(len(features)))

    with pytest.raises(ModelError, match="engine numpy gives the golden batch scores that are off"):
        load_model(model).engine("torch")
