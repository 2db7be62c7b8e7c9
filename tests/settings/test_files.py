"""The files with settings: `.env`, the secrets folder and TOML, also when they are damaged or belong to others."""

import os
import threading

import pytest

from detector.errors import UsageError
from detector.settings import Settings
from detector.settings.sources import load_settings
from tests.settings.rights import unprivileged

BINARY = b"\x05\x02\x00\x00\xff\xfe"
PASSWORD_FILE = "DETECTOR_KAFKA__SASL_PLAIN_PASSWORD"  # noqa: S105 - a name
USER = "DETECTOR_KAFKA__SASL_PLAIN_USERNAME"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a${HOME}$HOME", "a${HOME}$HOME"),
        ("'a${HOME}'", "a${HOME}"),
        ("a #b # c", "a #b # c"),
        ("#a #b", "#a #b"),
        ('"a # b" # comment', "a # b"),
        ("'a\\b' # comment", "a\\b"),
        (r'"a\"b\\"', 'a"b\\'),
        ("a\"b'c\\d", "a\"b'c\\d"),
        ("a=b==", "a=b=="),
        ("  a b  ", "a b"),
        ("", None),
        ("  # comment", None),
    ],
)
def test_value_in_env_file_is_kept_as_it_is(tmp_path, monkeypatch, line, value):
    """Otherwise a password with `$`, `#` or quotes would be another one than its user wrote."""
    monkeypatch.setenv("HOME", "/home/somebody")
    (tmp_path / ".env").write_text(f"# comment\r\n\r\nOTHER\r\nexport {USER}={line}\r\n# {USER}=no\r\n")

    assert load_settings().settings.kafka.sasl_plain_username == value


@pytest.mark.parametrize(
    "line",
    [
        "what is this",
        "DETECTOR_KAFKA__GROUP_ID",
        "DETECTOR_KAFKA__GROUP_ID: blue",
        "DETECTOR_KAFKA__GROUP_ID blue",
        f'{PASSWORD_FILE}="secret"word"',
        f'{PASSWORD_FILE}="secret',
        "=secret",
    ],
)
def test_line_that_cannot_be_parsed_is_named_without_its_text(tmp_path, line):
    """Otherwise a setting would be lost without a word, or a password would be printed."""
    (tmp_path / ".env").write_text(f"\n# comment\nA=1\n\n\n{line}\n")

    with pytest.raises(UsageError, match=r"^\.env, line 6: cannot be parsed; write NAME=value") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"A=\xe4", "DETECTOR_HTTP__PORT=1".encode("utf-16")])
def test_env_file_in_another_encoding_is_one_line(tmp_path, content):
    """Otherwise a file from another editor would end the command without its name."""
    (tmp_path / ".env").write_bytes(content)

    with pytest.raises(UsageError, match=r"^\.env: is not UTF-8 text \(byte \d+\); save it as UTF-8$"):
        load_settings()


def test_files_may_begin_with_a_byte_order_mark(tmp_path, secrets):
    """Otherwise files from Windows could not be used, or a name in them would be unknown."""
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfDETECTOR_HTTP__PORT=1\n")
    (secrets / "DETECTOR_KAFKA__GROUP_ID").write_bytes(b"\xef\xbb\xbfblue\r\n")
    (tmp_path / "d.toml").write_bytes(b"\xef\xbb\xbf[batch]\nmax_records = 7\n")

    settings = load_settings(tmp_path / "d.toml").settings

    assert (settings.http.port, settings.kafka.group_id, settings.batch.max_records) == (1, "blue", 7)


def test_folder_named_like_the_env_file_is_no_env_file(tmp_path):
    """Otherwise the command would fail beside a virtual environment in `.env`."""
    (tmp_path / ".env").mkdir()

    assert load_settings().settings == Settings()


def test_unreadable_env_file_is_one_line(public_folder):
    """Otherwise the service would run with defaults although its settings are there."""
    (public_folder / ".env").write_text("DETECTOR_HTTP__PORT=1\n")
    (public_folder / ".env").chmod(0)

    with unprivileged(), pytest.raises(UsageError, match=r"^\.env in the working folder: cannot be read: Permission"):
        load_settings()


def test_unreadable_working_folder_is_reported_and_not_fatal(public_folder):
    """Otherwise the service could not be started in the home folder of another user, where `sudo` leaves it."""
    public_folder.chmod(0)

    with unprivileged():
        loaded = load_settings()

    assert loaded.settings == Settings()
    (ignored,) = loaded.ignored
    assert (ignored.name, ignored.origin) == (".env", "working folder")
    assert "Permission denied" in ignored.reason


@pytest.mark.parametrize("name", ["krb5.keytab", "detector.p12", "detector_kafka", "detector-kafka.pem"])
def test_files_of_others_in_the_secrets_folder_are_not_read(secrets, name):
    """Otherwise a keytab beside the passwords would end the daemon."""
    (secrets / name).write_bytes(BINARY)
    (secrets / "kubernetes.io").mkdir()
    (secrets / "..data").symlink_to("nowhere")
    (secrets / "DETECTOR_SERVICE_HOST").write_bytes(BINARY)

    assert load_settings().settings == Settings()


@pytest.mark.parametrize("name", ["DETECTOR_KAFKA__KEYTAB", "DETECTOR_KAFKA__CLIENT.p12", f"{PASSWORD_FILE}.txt"])
def test_file_that_is_nearly_a_secret_is_reported(secrets, name):
    """Otherwise a password in a misnamed file would be missing without a word."""
    (secrets / name).write_bytes(BINARY)

    loaded = load_settings()

    assert loaded.settings == Settings()
    assert [(ignored.name, ignored.origin) for ignored in loaded.ignored] == [(name, f"secrets in {secrets}")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BINARY, "it is not UTF-8 text"),
        ("p\xe4ssword".encode("latin-1"), "it is not UTF-8 text"),
        ("password\n".encode("utf-16"), "it is not UTF-8 text"),
        (b"\x05\x02\x00", "it is not text"),
        (None, "Is a directory"),
    ],
)
def test_secret_that_cannot_be_read_is_named(secrets, content, problem):
    """Otherwise its user would not learn which of the files is wrong."""
    file = secrets / PASSWORD_FILE
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(caught.value) == f"secret {file}: cannot be read: {problem}; replace the file, or remove it"


def test_link_without_target_is_named(secrets):
    """Otherwise the service would run without a password that is meant to be there."""
    (secrets / PASSWORD_FILE).symlink_to("nowhere")

    with pytest.raises(UsageError, match=f"{PASSWORD_FILE}: cannot be read: No such file"):
        load_settings()


def test_unreadable_secret_and_unreadable_folder_are_named(public_folder, monkeypatch):
    """Otherwise the service would run without its passwords."""
    secrets = public_folder / "secrets"
    secrets.mkdir(mode=0o755)
    (secrets / PASSWORD_FILE).write_text("x")
    (secrets / PASSWORD_FILE).chmod(0)
    monkeypatch.setenv("DETECTOR_SECRETS_DIR", "secrets")

    with unprivileged(), pytest.raises(UsageError, match=f"secret secrets/{PASSWORD_FILE}: cannot be read: Permission"):
        load_settings()
    secrets.chmod(0)
    with unprivileged(), pytest.raises(UsageError, match=r"^DETECTOR_SECRETS_DIR: secrets cannot be read \(Permission"):
        load_settings()
    secrets.chmod(0o755)


def test_config_file_can_be_a_pipe(tmp_path):
    """Otherwise `--config <(command)` could not keep passwords out of files."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("[batch]\nmax_records = 7\n",))
    writer.start()

    assert load_settings(tmp_path / "pipe").settings.batch.max_records == 7
    writer.join()


def test_config_that_is_a_folder_is_one_line(tmp_path):
    """Otherwise users who give a folder would see an error without the name of the option."""
    with pytest.raises(UsageError, match=f"{tmp_path}: cannot be read: Is a directory; correct --config or"):
        load_settings(tmp_path)
