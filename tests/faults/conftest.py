"""Which client library is hurt: kafka-python by `make test`, and librdkafka where it is marked; both by `make soak`."""

import os

import pytest

SOAK = "DETECTOR_SOAK_KILLS" in os.environ


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request):
    return request.param


def pytest_collection_modifyitems(config, items):
    """Leave out librdkafka's share of a test that is not marked, unless this is the soak."""
    left_out = [item for item in items if _is_for_the_soak(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_for_the_soak(item) -> bool:
    call = getattr(item, "callspec", None)
    is_librdkafka = call is not None and call.params.get("client") == "librdkafka"
    marker = item.get_closest_marker("both_clients")
    guarantees = marker.args if marker and marker.args else None
    wanted = marker is not None and (guarantees is None or call.params["guarantee"] in guarantees)
    return not SOAK and is_librdkafka and not wanted
