"""Reads settings: command line, environment, `.env`, secrets folder, TOML file; the first that has a value wins."""

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    DotEnvSettingsSource,
    EnvSettingsSource,
    NestedSecretsSettingsSource,
    SecretsSettingsSource,
    SettingsError,
    TomlConfigSettingsSource,
)

from detector.errors import UsageError
from detector.settings.options import Settings

PREFIX = "DETECTOR_"
CONFIG_VARIABLE = "DETECTOR_CONFIG"
SECRETS_VARIABLE = "DETECTOR_SECRETS_DIR"
_OF_COMPOSE = ("DETECTOR_TARGET", "DETECTOR_ENGINE", "DETECTOR_MEMORY", "DETECTOR_VERSION")
"""Variables of docker-compose.yml, which reads the same `.env`."""
_NOT_SETTINGS = (CONFIG_VARIABLE, SECRETS_VARIABLE, *_OF_COMPOSE)
_DEFAULT_SECRETS = Path("/run/secrets")
_MASK = "********"

Flat = dict[str, Any]
"""Values under dotted names, such as `kafka.group_id`."""


@dataclass(frozen=True)
class LoadedSettings:
    """The effective settings, and for each dotted name that was set the origin of its value."""

    settings: Settings
    origins: dict[str, str]


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
    try:
        for origin, flat in _sources(config_file, overrides):
            _reject_unknown(origin, flat)
            for name, value in flat.items():
                if name not in values:
                    values[name], origins[name] = value, origin
    except (SettingsError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"settings cannot be read: {error}") from error
    try:
        return LoadedSettings(Settings.model_validate(_nest(values)), origins)
    except ValidationError as error:
        raise UsageError("\n".join(_describe(error, origins))) from None


def render_settings(loaded: LoadedSettings) -> Iterator[str]:
    """The settings as lines of a TOML file that results in the same settings; secrets are masked."""
    for group in Settings.model_fields:
        yield f"[{group}]"
        for name, value in getattr(loaded.settings, group):
            origin = loaded.origins.get(f"{group}.{name}", "default")
            if value is None or isinstance(value, SecretStr):
                yield f"# {name} = {'unset' if value is None else _MASK}  # {origin}"
            else:
                shown = value if isinstance(value, bool | int | float) else str(value)
                yield f"{name} = {json.dumps(shown)}  # {origin}"
        yield ""


def setting_fields() -> dict[str, FieldInfo]:
    """Every setting's definition under its dotted name."""
    return {
        f"{group}.{name}": field
        for group, group_field in Settings.model_fields.items()
        for name, field in type(group_field.default).model_fields.items()
    }


def variable(name: str) -> str:
    """The environment variable of a dotted name."""
    return PREFIX + name.upper().replace(".", "__")


def _sources(config_file: Path | None, overrides: Iterable[str]) -> Iterator[tuple[str, Flat]]:
    """Each source's origin and values, highest precedence first."""
    yield "command line", dict(map(_split_override, overrides))
    yield "environment", _from_variables(EnvSettingsSource(Settings)(), os.environ)
    dotenv = DotEnvSettingsSource(Settings, env_file=".env")
    yield ".env", _from_variables(dotenv(), dotenv.env_vars)
    secrets = Path(os.environ.get(SECRETS_VARIABLE, _DEFAULT_SECRETS))
    if SECRETS_VARIABLE in os.environ and not secrets.is_dir():
        raise UsageError(f"{SECRETS_VARIABLE}: {secrets} is not a folder; create it, or unset the variable")
    if secrets.is_dir():
        source = NestedSecretsSettingsSource(SecretsSettingsSource(Settings, secrets))
        yield f"secrets in {secrets}", _from_variables(source(), source.env_vars)
    path = config_file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if path is not None:
        yield str(path), _from_toml(path)


def _split_override(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: expected group.name=value, such as kafka.group_id=detector-2")
    return name.strip().lower(), value


def _from_variables(nested: Mapping[str, Any], names: Mapping[str, Any]) -> Flat:
    """Values as pydantic-settings parsed them, and None for each name with our prefix that it ignored as unknown."""
    ours = {
        name[len(PREFIX) :].lower().replace("__", "."): None
        for name, value in names.items()
        if value and name.upper().startswith(PREFIX) and name.upper() not in _NOT_SETTINGS
    }
    return ours | {name: value for name, value in _flatten(nested).items() if name in ours}


def _from_toml(path: Path) -> Flat:
    if not path.is_file():
        raise UsageError(f"{path}: no such settings file; correct --config or {CONFIG_VARIABLE}")
    try:
        return _flatten(TomlConfigSettingsSource(Settings, toml_file=path)())
    except (ValueError, OSError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
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


def _reject_unknown(origin: str, flat: Flat) -> None:
    known = list(setting_fields())
    for name in flat:
        if name not in known:
            (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
            hint = f"; did you mean {nearest} ({variable(nearest)})?"
            raise UsageError(f"unknown setting {name} ({variable(name)}, from {origin}){hint}")


def _describe(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    fields = setting_fields()
    for problem in error.errors(include_url=False):
        name = ".".join(map(str, problem["loc"][:2]))
        message = problem["msg"].removeprefix("Value error, ")
        if name not in fields:  # settings of a group that contradict each other
            yield f"{variable(name)}: {message}"
            continue
        value = "" if "Secret" in str(fields[name].annotation) else f"={problem['input']}"
        yield f"{variable(name)}{value} (from {origins.get(name, 'default')}): {message}"
