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

_COMMAND_LINE = "tests/e2e/test_command_line.py"
_COMMANDS = "tests/e2e/test_commands.py"
_COMPOSE = "tests/compose/run.py"
RUN_BY = {
    r"make demo": f"{_COMMANDS}::test_demo_accounts_for_every_event",
    r"make (test|install)": ".ci/run::make test",  # it installs first
    r"make prometheus": "Makefile::tests: install browser prometheus",
    r"python -m benchmarks\.plot .*": "tests/benchmarks/test_plot.py::test_sweep_is_drawn_with_the_command_of_the_docs",
    r"\.venv/bin/python train\.py \S+": f"{_COMMAND_LINE}::test_train_run_replay",
    r"(\.venv/bin/)?detector check --connect": f"{_COMMANDS}::test_check_has_a_line_for_each_thing",
    r"\.venv/bin/detector (run|replay \S+ --rate 2000)": f"{_COMMAND_LINE}::test_train_run_replay",
    r"\.venv/bin/detector broker --port 9092 --create-topics": "tests/local/test_broker.py::def serving",
    r"detector --set kafka\.group_id=blue run": f"{_COMMAND_LINE}::test_train_run_replay",
    r"detector config": f"{_COMMANDS}::test_config_shows_values_and_origins",
    r"detector model (show|verify( PATH)?)": f"{_COMMANDS}::test_model_show_and_verify",
    r"detector replay FILE": f"{_COMMAND_LINE}::test_train_run_replay",
    r"detector score FILE": f"{_COMMANDS}::test_score_of_ndjson_skips_what_is_no_event_and_says_so",
    r"detector dead-letter (show|replay)( .*)?": "tests/dead_letters/test_commands.py::test_show_fix_replay",
    r"ln -sfn \S+ models/current": "tests/service/test_reload.py::test_rolled_back_with_the_command_of_the_docs",
    r"export DETECTOR_.*": "tests/test_docs_commands.py::test_variables_that_are_exported_are_settings",
    r"docker compose build": f"{_COMPOSE}::def main",
    r"docker compose -f docker-compose.yml -f docker-compose.tls.yml up": f"{_COMPOSE}::def secured",
    r"docker compose up": f"{_COMPOSE}::def cold",
    r"docker compose down": f"{_COMPOSE}::def again",
    r"docker compose (run --rm --entrypoint rm .*|up train|restart detector)": f"{_COMPOSE}::def trained_anew",
    r"docker compose run --rm --entrypoint ln .*": f"{_COMPOSE}::def rolled_back",
    r"docker compose (port|ps -a|logs --tail 50|kill -s USR1|up -d) detector( 8000)?": f"{_COMPOSE}::def looked_into",
    r"docker compose up -d --scale detector=3": f"{_COMPOSE}::def scaled",
    r"docker compose exec kafka \S+/kafka-topics\.sh .*": f"{_COMPOSE}::def topics_as_documented",
}
"""What runs a command of this form: a file of the repository, and how the test in it is called or begins."""

_OF_KAFKA = "Kafka's own tool, and the user's own cluster"
_RIGHTS = "Kafka's own tool; the rights themselves are tested by tests/security/test_access.py"
_MEASURES = "it measures for minutes; its figures are committed, and what it compares is held by tests/benchmarks"
EXAMPLES = {
    r"kafka-(consumer-groups|console-consumer|configs|topics|transactions)\.sh .*": _OF_KAFKA,
    r'acl="kafka-acls\.sh .*"': _RIGHTS,
    r"\$acl --operation .*": _RIGHTS,
    r"ls models": "it changes nothing",
    r"make demo TORCH_INDEX=<url>": "the address is the user's",
    r"make bench|python -m benchmarks\.\w+( \w+)?": _MEASURES,
    r"make (docs|dashboards)": "it writes what is committed; tests hold that to the source",
    r"make pictures": "it needs a stack that runs; tests/deploy/test_live.py draws the same pictures",
    r"make compose-test": "it needs a container engine",
    r"make soak": "it takes an hour; `make test` runs the same tests with fewer kills",
    r"make audit": "it asks sources on the internet",
    r"make image( TARGETS=slim)?": "it needs a container engine; `make compose-test` builds the same targets",
    r"py-spy record .*": "a tool of its own, on a running process",
    r"systemctl .*": "the user's own host; the signal itself is tested by tests/service/test_life.py",
}
"""Commands that no test runs, with the reason."""

_TOOLS = r"(\.venv/bin/)?(python|train\.py|detector|make|docker|systemctl|ln|ls|curl|promtool|py-spy|kafka-\w+\.sh) "
_NO_COMMANDS = {"detector starts", "detector stopped"}  # lines of the log


def _commands(page):
    """What stands behind a prompt, or as a command in a sentence or a table."""
    blocks = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    text = page.read_text()
    for language, block in blocks.findall(text):
        if language == "console":
            yield from (line.removeprefix("$ ").strip() for line in block.splitlines() if line.startswith("$ "))
    for span in re.findall(r"`([^`]+)`", blocks.sub("", text)):
        command = " ".join(span.split())
        if re.match(_TOOLS, command) and command not in _NO_COMMANDS:
            yield command


COMMANDS = sorted({command for page in PAGES for command in _commands(page)})
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
    if words[0] in {option for parameter in verb.params for option in parameter.opts}:
        words = words[2:]
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
