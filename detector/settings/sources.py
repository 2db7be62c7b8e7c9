"""Reads settings: command line, environment, `.env`, secrets folder, TOML file; the first that has a value wins."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from detector.errors import UsageError
from detector.settings.env_file import read_env_file
from detector.settings.options import Settings
from detector.settings.unused import unused_settings
from detector.settings.values import assignment, check_text
from detector.settings.variables import (
    CONFIG_VARIABLE,
    SECRETS_VARIABLE,
    dotted,
    is_meant_as_setting,
    is_of_others,
    nearest_setting,
    setting_fields,
    variable,
)

_DEFAULT_SECRETS = Path("/run/secrets")
_ENV_FILE = Path(".env")

Flat = dict[str, Any]
"""Values under dotted names, such as `kafka.group_id`."""


@dataclass(frozen=True)
class Ignored:
    """Something that looks like a setting but has no effect."""

    name: str
    origin: str
    reason: str


@dataclass(frozen=True)
class _Source:
    """One place with settings."""

    origin: str
    values: Flat
    ignored: tuple[Ignored, ...] = ()


@dataclass(frozen=True)
class LoadedSettings:
    """The effective settings, for each dotted name that was set the origin of its value, and what has no effect."""

    settings: Settings
    origins: dict[str, str]
    ignored: tuple[Ignored, ...] = ()


def load_settings(config_file: Path | None = None, overrides: Iterable[str] = ()) -> LoadedSettings:
    """Read all sources, merge them and validate the result.

    Args:
        config_file: the TOML file of `--config`; `DETECTOR_CONFIG` when None.
        overrides: `group.name=value` from the command line.

    Raises:
        UsageError: a name is unknown (with the nearest known name) or a value is invalid (with its origin).
    """
    values: Flat = {}
    origins: dict[str, str] = {}
    ignored: list[Ignored] = []
    for source in _sources(config_file, overrides):
        _reject_unknown(source)
        ignored += source.ignored
        for name, value in source.values.items():
            if name not in values:
                values[name], origins[name] = value, source.origin
    for name, value in values.items():
        check_text(name, value, origins[name])
    try:
        settings = Settings.model_validate(_nest(values))
    except ValidationError as error:
        raise UsageError("\n".join(_describe(error, origins))) from None
    ignored += (Ignored(variable(name), origins[name], reason) for name, reason in unused_settings(settings, values))
    return LoadedSettings(settings, origins, tuple(ignored))


def _sources(config_file: Path | None, overrides: Iterable[str]) -> Iterator[_Source]:
    """Each source, highest precedence first."""
    yield _Source("command line", dict(map(_split_override, overrides)))
    yield _from_variables("environment", os.environ)
    yield _from_env_file()
    yield _from_secrets()
    path = config_file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if path is not None:
        yield _Source(str(path), _from_toml(path))


def _split_override(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: expected group.name=value, such as kafka.group_id=detector-2")
    return name.strip().lower(), value


def _from_variables(origin: str, variables: Mapping[str, str]) -> _Source:
    """Values as pydantic-settings parses them, and None for each name that should be a setting but is unknown."""
    candidates = {name: value for name, value in variables.items() if value and not is_of_others(name, value)}
    settings = {name.lower(): value for name, value in candidates.items() if is_meant_as_setting(name)}
    source = EnvSettingsSource(Settings)
    source.env_vars = {name: value for name, value in settings.items() if dotted(name) in setting_fields()}
    ignored = (
        Ignored(name, origin, "not the name of a setting, which has a double underscore after the group")
        for name in candidates
        if name.lower() not in settings
    )
    return _Source(origin, dict.fromkeys(map(dotted, settings)) | _flatten(source()), tuple(ignored))


def _from_env_file() -> _Source:
    origin = str(_ENV_FILE)
    try:
        return _from_variables(origin, read_env_file(_ENV_FILE))
    except (FileNotFoundError, IsADirectoryError):  # some name a virtual environment .env
        return _Source(origin, {})
    except OSError as error:
        if not _is_visible(_ENV_FILE):
            return _Source(origin, {}, (Ignored(origin, "working folder", f"cannot be read: {error.strerror}"),))
        raise UsageError(
            f"{origin} in the working folder: cannot be read: {error.strerror}; permit it, or start in another folder"
        ) from None


def _is_visible(path: Path) -> bool:
    """Whether the folder of a file may be searched."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _from_secrets() -> _Source:
    """The files of the secrets folder that are named like settings. No other file is read: it belongs to others."""
    chosen = os.environ.get(SECRETS_VARIABLE)
    folder = Path(chosen) if chosen else _DEFAULT_SECRETS
    origin = f"secrets in {folder}"
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        if not chosen:
            return _Source(origin, {})
        what = "is not a folder" if isinstance(error, FileNotFoundError | NotADirectoryError) else "cannot be read"
        raise UsageError(
            f"{SECRETS_VARIABLE}: {folder} {what} ({error.strerror}); correct it, or unset the variable"
        ) from None
    variables, ignored = {}, []
    for path in paths:
        if is_of_others(path.name, "") or not is_meant_as_setting(path.name):
            continue
        secret = _read_secret(path)
        if secret is None:
            ignored.append(Ignored(path.name, origin, "no text, or not named like a setting"))
        else:
            variables[path.name] = secret
    source = _from_variables(origin, variables)
    return _Source(origin, source.values, (*source.ignored, *ignored))


def _read_secret(path: Path) -> str | None:
    """Its text without blanks around it; None for a binary or foreign file whose name is no setting."""
    is_setting = dotted(path.name) in setting_fields()
    if not is_setting and not re.fullmatch(r"\w+", path.name):
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig").strip()
        problem = "it is not text" if "\0" in text else None
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except OSError as error:
        problem = error.strerror
    if problem is None:
        return text
    if not is_setting:
        return None
    raise UsageError(f"secret {path}: cannot be read: {problem}; replace the file, or remove it")


def _from_toml(path: Path) -> Flat:
    try:
        return _flatten(tomllib.loads(path.read_bytes().decode("utf-8-sig")))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such settings file; correct --config or {CONFIG_VARIABLE}") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; correct --config or {CONFIG_VARIABLE}") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None


def _flatten(nested: Mapping[str, Any]) -> Flat:
    flat: Flat = {}
    for group, values in nested.items():
        if isinstance(values, Mapping):
            flat |= {f"{group}.{name}": value for name, value in values.items()}
        else:
            flat[group] = values
    return flat


def _nest(flat: Flat) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        group, _, leaf = name.partition(".")
        nested.setdefault(group, {})[leaf] = value
    return nested


def _reject_unknown(source: _Source) -> None:
    known = setting_fields()
    for name in source.values:
        if name not in known:
            nearest = nearest_setting(name)
            raise UsageError(
                f"unknown setting {name} ({variable(name)}, from {source.origin}); "
                f"did you mean {nearest} ({variable(nearest)})?"
            )


def _describe(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    fields = setting_fields()
    for problem in error.errors(include_url=False):
        name = ".".join(map(str, problem["loc"][:2]))
        message = problem["msg"].removeprefix("Value error, ")
        if name not in fields:  # settings of a group that contradict each other
            yield f"{variable(name)}: {message}"
            continue
        yield f"{assignment(name, problem['input'], origins.get(name, 'default'))}: {message}"
