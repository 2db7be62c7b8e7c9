"""The output of each command, and its exit codes."""

import gzip
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

from detector.local.demo import SAMPLE
from detector.records import OutgoingRecord
from tests.dead_letters.written import write
from tests.helpers import ROOT, detector, event, train_command, wait_until


def by_numpy(model):
    """Options for a model and the engine that starts soonest; the demo runs with torch."""
    return ["--set", f"model.path={model}", "--set", "model.engine=numpy"]


def test_exit_code_tells_the_kind_of_error(tmp_path, model, kafka, options):
    """Otherwise supervisors, which decide by the exit code, would do the wrong thing."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = detector("--set", f"http.port={port}", "run")
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in done.stderr

    done = detector("run", DETECTOR_MODEL__THRESHOLD="2")
    assert done.returncode == 2
    assert done.stderr.startswith("detector: DETECTOR_MODEL__THRESHOLD=2 (from environment)")

    assert detector("fly").returncode == 2
    done = detector("replay", "nowhere.csv")
    assert (done.returncode, done.stderr) == (2, "detector: nowhere.csv: cannot be read: No such file or directory\n")
    assert detector("replay", SAMPLE, "--rate", "1", "--speed", "1").returncode == 2
    (tmp_path / "confluent_kafka.py").write_text("raise ModuleNotFoundError(name='confluent_kafka')")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = detector(
        "--set",
        "kafka.client=librdkafka",
        "--set",
        "http.port=0",
        "--set",
        f"model.path={model}",
        "run",
        PYTHONPATH=path,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        'detector: DETECTOR_KAFKA__CLIENT=librdkafka needs the extra `librdkafka`: pip install "detector[librdkafka]"'
    )

    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(name='torch')")
    done = detector("--set", f"model.path={model}", "check", PYTHONPATH=path)
    assert done.returncode == 2
    assert "DETECTOR_MODEL__ENGINE=torch: torch is not installed; install it" in done.stdout

    (tmp_path / "sklearn.py").write_text("raise ModuleNotFoundError(name='sklearn')")
    done = detector("--set", f"model.path={model}", "--set", "model.engine=numpy", "score", SAMPLE, PYTHONPATH=path)
    assert (done.returncode, done.stdout[:11]) == (0, "rows 12500,")
    assert "detector[train]" in done.stderr

    done = detector("--set", "http.port=0", "run", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("detector: models/current: no such model folder; ")

    write(kafka, [OutgoingRecord(kafka.events_topic, None, b"?", [])] * 30)
    done = detector(*options, "--set", "http.port=0", "--set", "dead_letter.max_consecutive=20", "run")
    assert done.returncode == 4
    error = done.stderr.splitlines()[-1]
    cause = rf"not_json \(.+\) at {kafka.events_topic}-\d@\d+"
    assert re.search(rf"21 invalid records in a row, the last: {cause}; most often \(21 of 21\): {cause}; check", error)


def test_check_prints_a_line_for_each_check(options, tmp_path, kafka):
    """Otherwise problems with settings, model, brokers, topics or ACLs would appear only after a deployment."""
    good = detector(*options, "check", "--connect")
    assert good.returncode == 0, good.stdout
    assert [line[:4] for line in good.stdout.splitlines()] == ["ok  "] * 7
    assert f"topic {kafka.events_topic}" in good.stdout

    bad = detector(*options, "--set", "kafka.alerts_topic=nowhere", "check", "--connect")
    assert bad.returncode == 1
    assert "FAIL  topic nowhere  topic nowhere does not exist; create it with: kafka-topics.sh" in bad.stdout

    unreachable = detector(*options, "--set", "kafka.bootstrap_servers=127.0.0.1:1", "check", "--connect")
    assert unreachable.returncode == 1
    assert "FAIL  brokers" in unreachable.stdout

    assert detector("check", cwd=tmp_path).returncode == 3


def test_config_prints_values_and_origins():
    """Otherwise operators could not find out where a setting's value comes from."""
    done = detector("config", DETECTOR_KAFKA__GROUP_ID="blue")

    assert done.returncode == 0
    assert 'group_id = "blue"  # environment' in done.stdout
    assert "max_records = 5000  # default" in done.stdout


def test_model_can_be_shown_and_verified(model, tmp_path):
    """Otherwise operators could not inspect a model, or would trust a damaged one."""
    assert "beth-mlp" in detector("model", "show", model).stdout
    assert detector("model", "verify", model).returncode == 0
    assert detector("model", "verify", tmp_path).returncode == 3


def test_score_of_ndjson_reports_invalid_lines(model, tmp_path):
    """Otherwise one invalid line would stop the scoring of a file, or shift the row numbers of the others."""
    lines = [event(userId=1), b"{", event(userId=2), b"[]"]
    (tmp_path / "events.ndjson").write_bytes(b"\n".join(lines) + b"\n")

    done = detector(*by_numpy(model), "score", tmp_path / "events.ndjson", "--output", tmp_path / "s.csv")

    assert done.returncode == 0, done.stderr
    path = tmp_path / "events.ndjson"
    assert f"not scored: 1 rows, not_json, first at {path}:2: Expecting property name" in done.stdout
    assert f"not scored: 1 rows, not_an_object, first at {path}:4: the value is a JSON array" in done.stdout
    assert [line.split(",")[0] for line in (tmp_path / "s.csv").read_text().splitlines()] == ["row", "0", "2"]


def test_score_of_no_event_is_exit_1_with_the_first_of_each_reason(model, tmp_path):
    """Otherwise scripts would take a file of another format for one without suspicious events."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"a": 1}\n[]\n{"b": 2}\n')

    done = detector(*by_numpy(model), "score", path, "--output", tmp_path / "s.csv")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"detector: {path}: no event could be scored: 2 rows, missing_field, first at {path}:1: processId; "
        f"1 rows, not_an_object, first at {path}:2: the value is a JSON array\n"
    )
    assert not (tmp_path / "s.csv").exists()


def test_score_reads_standard_input(model, tmp_path):
    """Otherwise events could not be scored in a pipe of commands."""
    source = tmp_path / "in"
    for content in (event(), gzip.compress(event()), SAMPLE.read_bytes()):
        source.write_bytes(content)
        done = detector(*by_numpy(model), "score", "-", stdin=source)
        assert done.returncode == 0, done.stderr
    assert "rows 12500," in done.stdout
    done = detector(*by_numpy(model), "score", "-", "--output", source, stdin=source)
    assert done.stderr.startswith(f"detector: {source}: is also an input (standard input), which would be lost; ")
    source.write_bytes(b"{}")
    done = detector(*by_numpy(model), "score", "-", stdin=source)
    assert done.stderr.startswith("detector: standard input: no event could be scored: 1 rows, missing_field, ")


def test_score_of_a_missing_file_is_one_line(model):
    """Otherwise a mistyped path would give a traceback."""
    done = detector(*by_numpy(model), "score", "nowhere.csv")

    assert done.returncode == 2
    assert done.stderr.strip() == "detector: nowhere.csv: cannot be read: No such file or directory"


def test_demo_with_keep_replays_until_ctrl_c(model, tmp_path):
    """Otherwise newcomers would have no time to look at metrics and alerts."""
    command = [sys.executable, "-m", "detector", "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    with subprocess.Popen(
        [*command, "demo", "--keep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            printed = "".join(itertools.takewhile(lambda line: not line.startswith("Still replaying"), process.stdout))
            found = re.search(r"Detector is ready: (\S+)", printed)
            assert found, printed
            wait_until(lambda: consumed(found[1]) > 12_500, "events after the first replay")
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 0, errors
    assert output.splitlines()[-1].endswith(", lost 0")


def consumed(metrics_url: str) -> float:
    """The number of records that a daemon has consumed."""
    with urllib.request.urlopen(metrics_url, timeout=10) as page:
        found = re.search(r"^detector_records_consumed_total (\S+)", page.read().decode(), re.MULTILINE)
    assert found
    return float(found[1])


def test_train_verb_has_the_options_of_train_py():
    """Otherwise users who installed the package could not do what the documentation of train.py says."""
    verb, script = detector("train", "--help"), train_command("--help")

    assert (verb.returncode, script.returncode) == (0, 0)
    assert verb.stdout.startswith("Usage: detector train [OPTIONS] ") or " detector train [OPTIONS]" in verb.stdout
    assert "--target-accuracy" in verb.stdout
    assert verb.stdout.split("\n", 2)[2] == script.stdout.split("\n", 2)[2]


def test_train_verb_reports_errors_like_train_py(tmp_path):
    """Otherwise users who installed the package would get other exit codes, or a traceback."""
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    for arguments in [("rows.csv",), ("rows.csv", "--nonsense")]:
        verb, script = detector("train", *arguments, cwd=tmp_path), train_command(*arguments, cwd=tmp_path)
        assert (verb.returncode, script.returncode) == (2, 2)
        assert "Traceback" not in verb.stderr + script.stderr
        if arguments == ("rows.csv",):
            assert verb.stderr == script.stderr
            assert len(verb.stderr.splitlines()) == 1


def test_train_verb_without_its_extra_is_one_line(tmp_path):
    """Otherwise users without the optional packages would see a traceback, and not learn what to install."""
    (tmp_path / "sklearn.py").write_text("raise ModuleNotFoundError('No module named sklearn', name='sklearn')")

    done = detector("train", SAMPLE, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'detector: training needs the extra `train`: pip install "detector[train]"\n'
