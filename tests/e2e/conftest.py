"""What the tests of the command line share."""

import pytest

from tests.helpers import kafka_options


@pytest.fixture
def options(kafka, model):
    # The numpy engine: it scores the same and starts 3 s sooner. The torch engine runs in the first test and the demo.
    return [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
