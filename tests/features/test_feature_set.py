"""Feature sets: the columns that a decoder fills, and the models that use them."""

from detector.events.source import compile_source, load_source
from detector.features.beth import BETH


def test_beth_has_the_seven_columns_in_their_order():
    """Otherwise models that were trained on BETH's columns would get other columns."""
    assert BETH.names == [
        "processId",
        "threadId",
        "parentProcessId",
        "userId",
        "mountNamespace",
        "argsNum",
        "returnValue",
    ]
    assert [BETH.column(name) for name in BETH.names] == list(range(7))


def test_built_in_source_has_every_field_of_the_feature_set():
    """Otherwise the service could not start with its default source and feature set."""
    compile_source(load_source("beth"), BETH.fields)
