"""Event sources: where in a sensor's JSON the fields of an event are. Each is one TOML file in `sources/`."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from detector.errors import UsageError

NO_LABEL = -1
_POINTER = re.compile(r"(/([^/~]|~[01])*)+", re.DOTALL)


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the label may be; the first usable value counts."""

    pointers: Sequence[str] = ()


class EventSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a sensor writes its events: the contents of its TOML file."""

    name: str
    fields: Mapping[str, str]
    """Each field's JSON Pointer (RFC 6901), through objects only: every part of it is a key."""
    label: Label = Label()

    def pointer(self, field: str) -> tuple[str, ...]:
        """The keys that lead to a field's value.

        Raises:
            UsageError: the source has no such field.
        """
        if field not in self.fields:
            raise UsageError(f"event source {self.name} has no field {field!r}; its fields: {', '.join(self.fields)}")
        return _keys(self.fields[field])

    def label_pointers(self) -> list[tuple[str, ...]]:
        """The keys that lead to each value that may be the label."""
        return [_keys(pointer) for pointer in self.label.pointers]


class EventType(NamedTuple):
    """A msgspec type for a source's events; converts its instances to rows of integers and back."""

    type: type[msgspec.Struct]
    to_row: Callable[[Any], tuple[int, ...]]
    """The fields, then the label values, of an event; a label that is absent is -1."""
    from_row: Callable[[Sequence[int]], msgspec.Struct]


def load_source(name: str) -> EventSource:
    """A built-in source."""
    file = f"{name}.toml"
    return parse_source((files("detector.events") / "sources" / file).read_text(encoding="utf-8"), file)


def parse_source(text: str, origin: str) -> EventSource:
    """Parse the text of a source's TOML file.

    Args:
        text: the TOML.
        origin: where the text came from, for errors.

    Raises:
        UsageError: it is not TOML, has an unknown or missing entry, or a pointer is invalid.
    """
    try:
        source = msgspec.convert(tomllib.loads(text), EventSource)
        for pointer in (*source.fields.values(), *source.label.pointers):
            if not _POINTER.fullmatch(pointer):
                raise ValueError(f"{pointer!r} is not a JSON Pointer such as /process/pid")  # noqa: TRY301
        compile_source(source, list(source.fields))
    except (msgspec.ValidationError, ValueError) as error:  # TOMLDecodeError is a ValueError
        raise UsageError(f"{origin}: not an event source: {error}") from error
    return source


def with_label(source: EventSource, field: str) -> EventSource:
    """The same source with another label: a field of the event object itself.

    Raises:
        UsageError: the source uses the field otherwise, or its name has characters that are not supported.
    """
    pointer = "/" + field.replace("~", "~0").replace("/", "~1")
    labelled = msgspec.structs.replace(source, label=Label([pointer]))
    try:
        compile_source(labelled, list(source.fields))
    except ValueError as error:
        raise UsageError(f"--label {field}: cannot be the label: {error}") from error
    return labelled


def compile_source(source: EventSource, fields: Sequence[str]) -> EventType:
    """Make the msgspec type that decodes these fields, and the label, of a source's events.

    Nested pointers become nested types. Decoding is as fast as with a hand-written type.

    Raises:
        UsageError: the source has no such field.
        ValueError: two pointers exclude each other, or a key has characters that msgspec does not support.
    """
    pointers = [source.pointer(field) for field in fields]
    tree = _pointer_tree([*pointers, *source.label_pointers()], len(pointers))
    event_type, children, paths = _compile_node(tree)
    in_order = [path for _, path in sorted(paths.items())]
    is_flat = list(paths) == sorted(paths) and all("." not in path for path in in_order)
    to_row = msgspec.structs.astuple if is_flat else _getter(in_order)
    return EventType(event_type, to_row, lambda row: _build(event_type, children, row))


def _pointer_tree(pointers: Sequence[tuple[str, ...]], required: int) -> dict[str, Any]:
    """The pointers as nested dicts; each leaf is a pointer's index, and whether its value is optional."""
    tree: dict[str, Any] = {}
    for index, keys in enumerate(pointers):
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                break
        if not isinstance(node, dict) or keys[-1] in node:
            raise ValueError(f"/{'/'.join(keys)} is used twice, or as a value and as an object")
        node[keys[-1]] = (index, index >= required)
    return tree


def _getter(paths: list[str]) -> Callable[[Any], tuple[int, ...]]:
    get: Callable[[Any], Any] = attrgetter(*paths)
    # `attrgetter` of a single name returns the value itself, not a tuple.
    return get if len(paths) > 1 else lambda event: (get(event),)


_Children = list[Any]
"""For each attribute of a type: the index of a value in the row, or (type, children) of a nested type."""


def _compile_node(tree: dict[str, Any]) -> tuple[type[msgspec.Struct], _Children, dict[int, str]]:
    required: list[tuple[str, Any]] = []
    optional: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    nodes: dict[str, Any] = {}
    paths: dict[int, str] = {}
    for number, (key, node) in enumerate(tree.items()):
        attribute = f"f{number}"  # a key need not be an identifier
        names[attribute] = key
        if isinstance(node, dict):
            nested_type, nested_children, nested_paths = _compile_node(node)
            paths |= {index: f"{attribute}.{path}" for index, path in nested_paths.items()}
            nodes[attribute] = (nested_type, nested_children)
            if _is_optional(node):
                optional.append((attribute, nested_type, msgspec.field(default_factory=nested_type)))
            else:
                required.append((attribute, nested_type))
        else:
            index, is_label = node
            paths[index] = attribute
            nodes[attribute] = index
            if is_label:
                optional.append((attribute, int, NO_LABEL))
            else:
                required.append((attribute, int))
    event_type = msgspec.defstruct("Event", [*required, *optional], rename=names, gc=False)
    return event_type, [nodes[attribute] for attribute in event_type.__struct_fields__], paths


def _is_optional(tree: dict[str, Any]) -> bool:
    """Whether an object has labels only."""
    return all(_is_optional(node) if isinstance(node, dict) else node[1] for node in tree.values())


def _build(event_type: Callable[..., msgspec.Struct], children: _Children, row: Sequence[int]) -> msgspec.Struct:
    values: list[Any] = []
    for child in children:
        if isinstance(child, int):
            values.append(row[child])
        else:
            nested_type, nested_children = child
            values.append(_build(nested_type, nested_children, row))
    return event_type(*values)


def _keys(pointer: str) -> tuple[str, ...]:
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:])
