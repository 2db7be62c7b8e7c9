"""Which variables are settings: their names begin with `DETECTOR_`, but so do names that others choose."""

import difflib
import re

from pydantic.fields import FieldInfo

from detector.settings.options import Settings

PREFIX = "DETECTOR_"
CONFIG_VARIABLE = "DETECTOR_CONFIG"
SECRETS_VARIABLE = "DETECTOR_SECRETS_DIR"
_OF_COMPOSE = ("DETECTOR_TARGET", "DETECTOR_ENGINE", "DETECTOR_MEMORY", "DETECTOR_VERSION")
"""Variables of docker-compose.yml, which reads the same `.env`."""
_NOT_SETTINGS = (CONFIG_VARIABLE, SECRETS_VARIABLE, *_OF_COMPOSE)
_DISCOVERY = re.compile(
    r"(\w*_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)|ENV_\w+|NAME"
)
"""What Kubernetes sets for every Service whose name begins with `detector`, and Docker for a linked container."""
_DISCOVERED_PORT = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_SIMILARITY_OF_TYPING_ERRORS = 0.85


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


def dotted(variable_name: str) -> str:
    """The dotted name that a variable stands for."""
    return variable_name[len(PREFIX) :].lower().replace("__", ".")


def nearest_setting(name: str) -> str:
    """The dotted name of the setting that is most like a dotted name."""
    return difflib.get_close_matches(name, setting_fields(), n=1, cutoff=0)[0]


def is_of_others(name: str, value: str) -> bool:
    """Whether a variable has nothing to do with settings: another prefix, or set by Kubernetes, Docker or Compose."""
    upper = name.upper()
    if not upper.startswith(PREFIX) or upper in _NOT_SETTINGS:
        return True
    if dotted(name) in setting_fields():
        return False
    discovered_port = upper.endswith("PORT") and _DISCOVERED_PORT.match(value)
    return bool(discovered_port or _DISCOVERY.fullmatch(upper.removeprefix(PREFIX)))


def is_meant_as_setting(name: str) -> bool:
    """Whether a variable with our prefix is a setting or a typing error.

    A setting has a double underscore. A name without one is a typing error when it is like a setting's name:
    `DETECTOR_KAFKA_GROUP_ID`, `DETECTOR_GROUP_ID`, `DETECTOR_KAFKA`.
    """
    if "__" in name[len(PREFIX) :]:
        return True
    given = dotted(name)
    known = [setting.replace(".", "_") for setting in setting_fields()]
    without_group = {setting.partition(".")[2] for setting in setting_fields()}
    return (
        given in Settings.model_fields
        or ("_" in given and given in without_group)
        or bool(difflib.get_close_matches(given, known, n=1, cutoff=_SIMILARITY_OF_TYPING_ERRORS))
    )
