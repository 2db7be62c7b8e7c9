"""Every command in the documentation is run here as it is written, or is marked with the reason why it cannot be.

A command is in a block of the language `console`, after `$ `. The blocks of a page are run in the order of the page, in
a folder that looks like a fresh checkout. A block that cannot be run has a line directly above it:

    <!-- not run: needs a container engine -->

Commands that do not end by themselves (`detector run`, `detector broker`) stay in the background until the end of their
page, and are then stopped with SIGTERM.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from kafka import KafkaProducer
from typer.core import TyperGroup

from detector.cli import app
from detector.settings import KafkaSettings
from detector.settings.variables import setting_fields, variable
from tests.helpers import ROOT, WITHOUT_COVERAGE, event, wait_until

PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}
_MARK = re.compile(r"^ *<!-- not run: .*-->$", re.MULTILINE)
_CONSOLE = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>.*) -->\n)?^(?P<indent> *)```console.*\n(?P<body>(?s:.*?))^(?P=indent)```$",
    re.MULTILINE,
)
_SHELL = shutil.which("sh") or "sh"
_OTHER_SHELLS = re.compile(r"^ *```(?:ba|z)?sh\b|^ *```shell", re.MULTILINE)
_SERVES = re.compile(r"(\S*/)?detector (--set \S+ )*(run|broker)\b(?!.*--help)")
_NEEDS_KAFKA = re.compile(r"(\S*/)?detector (check --connect|dead-letter|run|replay)\b(?!.*--help)")
_TRAINS = re.compile(r"train\.py|make demo")
_KAFKA_PORT = re.compile(r"\b9092\b")
_ONCE = re.compile(r"make demo|(\S*/)?python train\.py .*")
"""Shown on two pages, and each takes a quarter of the time of this module."""


class Block(NamedTuple):
    """A console block: its commands and, if they are not run, the reason."""

    commands: list[str]
    reason: str | None


def _blocks(text: str) -> list[Block]:
    return [Block(_commands(match["body"]), match["reason"]) for match in _CONSOLE.finditer(text)]


def _commands(body: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", body)  # a command may have several lines
    return [line.strip().removeprefix("$ ") for line in joined.splitlines() if line.strip().startswith("$ ")]


RUN = {
    page: commands
    for page, text in PAGES.items()
    if (commands := [command for block in _blocks(text) if block.reason is None for command in block.commands])
}


class Checkout:
    """A folder that looks like a checkout in which `make install` has been run, and the shell of a reader in it.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for entry in ROOT.iterdir():
            if entry.name == ".ci" or not (entry.name.startswith(".") or entry.name in ("models", "site")):
                (folder / entry.name).symlink_to(entry)
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        self._wrap(programs / "python", sys.executable)
        self._wrap(programs / "detector", f"{sys.executable} -m detector")
        (folder / ".venv" / ".installed").touch()  # for make: nothing is left to be installed
        self._serving: list[subprocess.Popen[bytes]] = []
        self._done: set[str] = set()
        self.open_terminal()

    def open_terminal(self) -> None:
        """A shell without exported variables; ports of its own, because other checkouts may run beside this one."""
        self._kafka_port, self._http_port = _free_port(), _free_port()
        self.environment = (
            os.environ
            | WITHOUT_COVERAGE
            | {
                "PATH": f"{self.folder}/.venv/bin:{os.environ['PATH']}",
                "DETECTOR_HTTP__PORT": str(self._http_port),
            }
        )

    @staticmethod
    def _wrap(program: Path, command: str) -> None:
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)

    def run(self, command: str) -> None:
        """Run a command of a page as the reader would."""
        if command in self._done:
            return
        if command.startswith("export "):
            name, _, value = shlex.split(command)[1].partition("=")
            self.environment[name] = _KAFKA_PORT.sub(str(self._kafka_port), value)
        elif _SERVES.match(command):
            self._serve(_KAFKA_PORT.sub(str(self._kafka_port), command))
        else:
            done = subprocess.run(
                [_SHELL, "-c", _KAFKA_PORT.sub(str(self._kafka_port), command)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        if _ONCE.fullmatch(command):
            self._done.add(command)

    def _serve(self, command: str) -> None:
        said = self.folder / f"terminal-{len(self._serving)}.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [_SHELL, "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._serving.append(process)

        def is_ready() -> bool:
            assert process.poll() is None, f"{command}: ended with {process.returncode}\n{said.read_text()}"
            return self.page("/readyz")[0] == 200 if " run" in command else "ready " in said.read_text()

        wait_until(is_ready, f"{command} is ready")

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the service; 0 when there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def stop(self) -> list[int]:
        """Stop what serves, the last first, as a reader does with Ctrl-C; the exit codes."""
        codes = []
        while self._serving:
            process = self._serving.pop()
            process.send_signal(signal.SIGTERM)
            try:
                codes.append(process.wait(40))
            finally:
                process.kill()
        return codes


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def _checkout(tmp_path_factory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def checkout(_checkout) -> Iterator[Checkout]:
    """The checkout, in a new terminal; what serves is gone when the test ends."""
    _checkout.open_terminal()
    try:
        yield _checkout
    finally:
        _checkout.stop()


def _add_models(checkout: Checkout, model: Path) -> None:
    """A current model, if the page did not make one, and the version that the pages name."""
    models = checkout.folder / "models"
    named = models / "20261121T111205Z-00a915b5"
    if not named.exists():
        shutil.copytree(model.resolve(), named)
    if not (models / "current").exists():
        (models / "current").symlink_to(named.name)


def _counted(checkout: Checkout, metric: str) -> float:
    """The sum of a counter over its labels."""
    return sum(map(float, re.findall(rf"^{metric}{{.*}} (\S+)$", checkout.page("/metrics")[1], re.MULTILINE)))


def _add_dead_letters(checkout: Checkout, kafka: KafkaSettings) -> None:
    """A running service, and seven dead letters of the reason that the page is about."""
    checkout.run("detector run")
    _produce(kafka, [event(userId=None)] * 7)
    wait_until(lambda: _counted(checkout, "detector_records_dead_lettered_total") == 7, "seven dead letters")


_TOPICS = ("events_topic", "alerts_topic", "dead_letter_topic")


def _produce(kafka: KafkaSettings, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    for value in values:
        producer.send(kafka.events_topic, value)
    producer.flush(30)
    producer.close()


def _has_alerts(checkout: Checkout) -> None:
    """Check that the reader of the tutorial has alerts to read."""
    wait_until(lambda: _counted(checkout, "detector_alerts_total"), "alerts of the replayed events")


_WITH_DEFAULT_ENGINE = {"README.md", "docs/tutorial/see-it-work.md", "docs/tutorial/first-run.md"}
AFTER: dict[str, Callable[[Checkout], None]] = {"docs/tutorial/first-run.md": _has_alerts}
"""What else has to be true when the commands of a page have been run."""


@pytest.mark.parametrize("page", RUN)
def test_commands_of_the_page_can_be_followed(page, checkout, request):
    """Otherwise a reader would type a command that fails."""
    commands = RUN[page]
    if not any(map(_TRAINS.search, commands)):
        _add_models(checkout, request.getfixturevalue("model"))
    if page not in _WITH_DEFAULT_ENGINE:
        checkout.environment["DETECTOR_MODEL__ENGINE"] = "numpy"  # a third of the processor time
    starts_kafka = any(_SERVES.match(command) and "broker" in command for command in commands)
    if not starts_kafka and any(map(_NEEDS_KAFKA.match, commands)):
        kafka = request.getfixturevalue("kafka")
        for name in ("bootstrap_servers", "group_id", *_TOPICS):
            checkout.environment[variable(f"kafka.{name}")] = getattr(kafka, name)
        if any("detector dead-letter replay" in command for command in commands):
            _add_dead_letters(checkout, kafka)

    for command in commands:
        checkout.run(command)
    if page in AFTER:
        AFTER[page](checkout)

    assert set(checkout.stop()) <= {0}


def test_what_is_not_run_says_why():
    """Otherwise a command could escape the test above without anybody knowing why."""
    for page, text in PAGES.items():
        marked = [block for block in _blocks(text) if block.reason is not None]

        assert len(marked) == len(_MARK.findall(text)), page
        assert all(len((block.reason or "").split()) >= 3 for block in marked), page


def test_no_command_escapes_the_test():
    """Otherwise readers would see commands that no test has run."""
    for page, text in PAGES.items():
        assert not _OTHER_SHELLS.search(text), page
        assert text.count("```console") == len(_blocks(text)), page
        assert all(block.commands for block in _blocks(text)), page
    assert sum(map(len, RUN.values())) > 20


def _named() -> Iterator[str]:
    """Our commands in marked blocks, and in code within a sentence or a table."""
    for text in PAGES.values():
        yield from (command for block in _blocks(text) if block.reason for command in block.commands)
        yield from re.findall(
            r"`((?:detector|make) [^`\n]+)`", re.sub(r"^ *```(?s:.*?)^ *```", "", text, flags=re.MULTILINE)
        )


NAMED = sorted(set(_named()))


@pytest.mark.parametrize("command", [name for name in NAMED if re.match(r"(\.venv/bin/)?detector ", name)])
def test_named_command_exists(command):
    """Otherwise a reader would type a verb or an option that does not exist."""
    verb: Any = typer.main.get_command(app)
    words = shlex.split(command)[1:]
    while isinstance(verb, TyperGroup):
        while words[0].startswith("--"):
            assert words[0] in _options(verb)
            words = words[1:] if "=" in words[0] else words[2:]
        _, verb, words = verb.resolve_command(verb.context_class(verb), words)

    assert {word for word in words if word.startswith("--")} <= _options(verb)


def _options(verb) -> set[str]:
    return {"--help"} | {option for parameter in verb.params for option in parameter.opts}


def test_named_make_targets_exist():
    """Otherwise a reader would type a make target that does not exist."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {command.split()[1] for command in NAMED if command.startswith("make ")}

    assert len(named) > 5
    assert named <= targets


def test_named_variables_are_settings():
    """Otherwise a reader would copy a variable that is no setting, and the service would not start."""
    named = {name for text in PAGES.values() for name in re.findall(r"\bDETECTOR_[A-Z_]+__[A-Z_]+[A-Z]", text)}
    known = {variable(name) for name in setting_fields()}

    assert len(named) > 5
    assert sorted(name for name in named if not any(one.startswith(name) for one in known)) == []
