"""Several ways to one file."""

from pathlib import Path

from detector.local.demo import SAMPLE


def link_to(tmp_path: Path, kind: str) -> tuple[Path, Path]:
    """An input, and another way to the same file."""
    data = tmp_path / "data"
    data.mkdir()
    source = data / "mine.csv"
    source.write_bytes(SAMPLE.read_bytes())
    if kind == "symbolic link":
        (tmp_path / "other.csv").symlink_to(source)
    elif kind == "hard link":
        (tmp_path / "other.csv").hardlink_to(source)
    elif kind == "linked folder":
        (tmp_path / "folder").symlink_to(data)
        return source, tmp_path / "folder" / "mine.csv"
    elif kind == "same path":
        return source, source
    return source, tmp_path / "other.csv"
