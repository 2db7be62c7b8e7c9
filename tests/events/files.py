"""Files of events for the tests of the readers."""

from pathlib import Path

from detector.events.decode import DecodedBatch, Decoder
from detector.events.rows import Row, read_rows
from detector.events.source import load_source
from detector.features.beth import BETH
from tests.helpers import event

HEADER = "processId,threadId,parentProcessId,userId,mountNamespace,argsNum,returnValue,sus_label"
ROW = "381,7337,1,100,4026532231,5,0,1"
NDJSON = event(userId=1, args="\u00e4\u6f22") + b"\n" + event(userId=2) + b"\n"
_decode = Decoder(load_source("beth"), BETH.fields)


def file_with(tmp_path: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def decoded(path: Path) -> DecodedBatch:
    """The events of a file as the service decodes them."""
    return _decode([row.value for row in read_rows(path, BETH.fields)])


def read(path: Path) -> list[Row]:
    return list(read_rows(path, BETH.fields))
