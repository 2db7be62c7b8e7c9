"""What each command says, and its exit codes."""

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
from detector.stream.kafka_python import KafkaPythonSink
from tests.helpers import detector, event, wait_until, write_all


def test_exit_codes(tmp_path, model, kafka, options):
    """Supervisors decide by these: 1 failed, 2 wrong settings, 3 no model, 4 too many dead letters."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
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
    assert "DETECTOR_MODEL__ENGINE=torch: torch is not installed here" in done.stdout

    (tmp_path / "sklearn.py").write_text("raise ModuleNotFoundError(name='sklearn')")
    done = detector("--set", f"model.path={model}", "--set", "model.engine=numpy", "score", SAMPLE, PYTHONPATH=path)
    assert (done.returncode, done.stdout[:11]) == (0, "rows 12500,")
    assert "detector[train]" in done.stderr

    done = detector("--set", "http.port=0", "run", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("detector: models/current: no model folder there")

    sink = KafkaPythonSink(kafka)
    write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"?", [])] * 30)
    sink.close(5)
    done = detector(*options, "--set", "http.port=0", "--set", "dead_letter.max_consecutive=20", "run")
    assert done.returncode == 4
    assert "records in a row could not be read" in done.stderr.splitlines()[-1]


def test_check_has_a_line_for_each_thing(options, tmp_path, kafka):
    """Before a deployment: settings, model, brokers, topics, rights."""
    good = detector(*options, "check", "--connect")
    assert good.returncode == 0, good.stdout
    assert [line[:4] for line in good.stdout.splitlines()] == ["ok  "] * 7
    assert f"topic {kafka.events_topic}" in good.stdout

    bad = detector(*options, "--set", "kafka.alerts_topic=nowhere", "check", "--connect")
    assert bad.returncode == 1
    assert "FAIL  topic nowhere  topic nowhere does not exist: kafka-topics.sh" in bad.stdout

    unreachable = detector(*options, "--set", "kafka.bootstrap_servers=127.0.0.1:1", "check", "--connect")
    assert unreachable.returncode == 1
    assert "FAIL  brokers" in unreachable.stdout

    assert detector("check", cwd=tmp_path).returncode == 3


def test_config_shows_values_and_origins():
    """Whoever wonders where a value comes from."""
    done = detector("config", DETECTOR_KAFKA__GROUP_ID="blue")

    assert done.returncode == 0
    assert 'group_id = "blue"  # environment' in done.stdout
    assert "max_records = 5000  # default" in done.stdout


def test_model_show_and_verify(model, tmp_path):
    """The model folder from the command line, good and broken."""
    assert "beth-mlp" in detector("model", "show", model).stdout
    assert detector("model", "verify", model).returncode == 0
    assert detector("model", "verify", tmp_path).returncode == 3


def test_score_of_ndjson_skips_what_is_no_event_and_says_so(model, tmp_path):
    """Tracee's own JSON lines can be scored; bad lines keep their row number free."""
    lines = [event(userId=1), b"{", event(userId=2), b"[]"]
    (tmp_path / "events.ndjson").write_bytes(b"\n".join(lines) + b"\n")

    done = detector("--set", f"model.path={model}", "score", tmp_path / "events.ndjson", "--output", tmp_path / "s.csv")

    assert done.returncode == 0, done.stderr
    assert "not scored: 1 rows, not_json" in done.stdout
    assert [line.split(",")[0] for line in (tmp_path / "s.csv").read_text().splitlines()] == ["row", "0", "2"]


def test_score_of_a_missing_file(model):
    """One line, exit 2."""
    done = detector("--set", f"model.path={model}", "score", "nowhere.csv")

    assert done.returncode == 2
    assert done.stderr.strip() == "detector: nowhere.csv: cannot be read: No such file or directory"


def test_demo_accounts_for_every_event(tmp_path):
    """The newcomer's first minutes: it ends by itself, and its last line is the ledger."""
    done = detector("demo", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("events 12500, scored 12500, dead-lettered 0, alerts ")
    assert last.endswith(", lost 0")
    assert "every event accounted for" in done.stdout


def test_keep_goes_on_until_ctrl_c(model, tmp_path):
    """`demo --keep` is for looking at metrics and alerts at leisure."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "detector",
            "--set",
            f"model.path={model}",
            "--set",
            "model.engine=numpy",
            "demo",
            "--keep",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = "".join(itertools.takewhile(lambda line: not line.startswith("Replaying on"), process.stdout))
    metrics = re.search(r"Detector is ready: (\S+)", said)[1]

    def consumed():
        with urllib.request.urlopen(metrics, timeout=10) as page:
            return float(re.search(r"^detector_records_consumed_total (\S+)", page.read().decode(), re.MULTILINE)[1])

    wait_until(lambda: consumed() > 12_500, "events behind the first round")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert output.splitlines()[-1].endswith(", lost 0")
