"""Every command in the documentation is run by a test, or is an example for a reason."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from detector.cli import app
from detector.settings_sources import setting_fields, variable

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

RUN_BY = {
    r"make demo": "tests/e2e/test_command_line.py::test_demo_accounts_for_every_event",
    r"make (test|install)": ".ci/run::make test",  # it installs first
    r"\.venv/bin/python train\.py \S+": "tests/e2e/test_command_line.py::test_train_run_replay",
    r"\.venv/bin/detector check --connect": "tests/e2e/test_command_line.py::test_check_has_a_line_for_each_thing",
    r"\.venv/bin/detector (run|replay \S+ --rate 2000)": "tests/e2e/test_command_line.py::test_train_run_replay",
    r"detector dead-letter (show|replay) .*": "tests/dead_letters/test_commands.py::test_show_fix_replay",
    r"docker compose up": "tests/compose/run.py::cold",
    r"docker compose -f docker-compose.yml -f docker-compose.tls.yml up": "tests/compose/run.py::secured",
    r"ln -sfn \S+ models/current": "tests/service/test_reload.py::test_rolled_back_with_the_command_of_the_docs",
    r"export DETECTOR_.*": "tests/test_docs_commands.py::test_variables_that_are_exported_are_settings",
}
"""What runs a command of this form: a file of the repository, and how the test in it is called or begins."""

EXAMPLES = {
    r"for topic in .*; do": "Kafka's own tool, and the user's own cluster",
    r"ls models": "it changes nothing",
    r"kafka-consumer-groups\.sh .*": "Kafka's own tool, and the user's own cluster",
    r"kafka-console-consumer\.sh .*": "Kafka's own tool, and the user's own cluster",
    r'acl="kafka-acls\.sh .*"': "Kafka's own tool; the rights themselves are tested by tests/security/test_access.py",
    r"\$acl --operation .*": "Kafka's own tool; the rights themselves are tested by tests/security/test_access.py",
}
"""Commands that no test runs, with the reason."""


def _blocks(page):
    return re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


COMMANDS = sorted(
    {
        line.removeprefix("$ ").strip()
        for page in PAGES
        for block in _blocks(page)
        for line in block.splitlines()
        if line.startswith("$ ")
    }
)
OF_DETECTOR = [command for command in COMMANDS if re.match(r"(\.venv/bin/)?detector ", command)]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_run_or_an_example(command):
    """A new command in the docs comes with the test that runs it, or with the reason why none does."""
    forms = [form for form in (*RUN_BY, *EXAMPLES) if re.fullmatch(form, command)]

    assert len(forms) == 1, forms


def test_tables_have_nothing_else():
    """What runs a command exists, and no entry is left over from a command that is gone."""
    for where in RUN_BY.values():
        file, _, name = where.partition("::")
        assert name in (ROOT / file).read_text(), where
    forms = (*RUN_BY, *EXAMPLES)
    assert [form for form in forms if not any(re.fullmatch(form, command) for command in COMMANDS)] == []


@pytest.mark.parametrize("command", OF_DETECTOR)
def test_detector_takes_the_command_as_it_is_written(command):
    """Verbs, options and their values are parsed by the command itself; a renamed option is found here."""
    verb, words = typer.main.get_command(app), shlex.split(command)[1:]
    while isinstance(verb, TyperGroup):
        _, verb, words = verb.resolve_command(verb.context_class(verb), words)

    assert verb.make_context(verb.name, words).args == []


def test_make_targets_in_the_docs_exist():
    """`make` alone lists what there is; the docs name nothing else."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}

    assert len(named) > 5
    assert named <= targets


def test_variables_that_are_exported_are_settings():
    """Whoever copies the line sets what exists."""
    named = {name for page in PAGES for name in re.findall(r"\bDETECTOR_[A-Z]+__[A-Z_]+[A-Z]", page.read_text())}
    known = {variable(name) for name in setting_fields()}

    assert len(named) > 5
    assert sorted(name for name in named if not any(one.startswith(name) for one in known)) == []
