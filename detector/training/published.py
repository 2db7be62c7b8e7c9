"""Recognizes the published BETH files by their bytes.

The checksums of the raw files are sha256 of version 3 on Kaggle. The checksums of the preprocessed files are git's blob
hashes in DataCamp's repository: SHA-1 over a header and the content.
"""

import hashlib
from pathlib import Path

_RAW_SHA256 = {
    "18ceb80a7eb4b71296df13e3967e074a81ed5b80c2212b044c061ac81a1797e2": "BETH labelled_training_data.csv",
    "5a08ec47060af1cb8bb24ba632b5db0c2b1ac783aedc72693247b87c1170192e": "BETH labelled_validation_data.csv",
    "e56aad64df13b9dde7be2d333f1f6b7da7f41596cb9b4105deb0fd051900706b": "BETH labelled_testing_data.csv",
    "55d6c2161ba80ee1158a897febf0683a02a924513de8a345194078acba430e06": "the bundled sample of BETH",
}
_PREPROCESSED_GIT_SHA1 = {
    "a5e3f4b06f3860b18c8a58e5d25c9a39762389d4": "BETH labelled_train.csv, preprocessed",
    "9a8565203b6399e9cd0169c9016620e40dd5a17f": "BETH labelled_test.csv, preprocessed",
    "5b4abce374a6d17f21bb94e8e70faaa6c1ccbc07": "BETH labelled_validation.csv, preprocessed",
}


def identify(path: Path) -> tuple[str, str | None]:
    """The sha256 of a file, and the name of the published file with the same bytes; None for any other file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        git_sha1 = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while block := file.read(1 << 20):
            git_sha1.update(block)
    return sha256, _RAW_SHA256.get(sha256) or _PREPROCESSED_GIT_SHA1.get(git_sha1.hexdigest())
