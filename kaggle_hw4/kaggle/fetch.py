"""Files of submissions that were made elsewhere, fetched from Kaggle.

With both files a difference of two scores is paired, and its interval a good deal narrower.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.artifact import write_bytes
from kaggle_hw4.errors import BoardError, DataError
from kaggle_hw4.kaggle.client import Connection, kaggle_errors
from kaggle_hw4.kaggle.ledger import Entry
from kaggle_hw4.kaggle.submissions import path_of, read_submission

MAX_BYTES = 2**25  # of a submission: the competition's have half a megabyte
CHUNK = 2**16

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fetched:
    """The versions whose files were fetched, and why others were not."""

    versions: tuple[str, ...]
    problems: tuple[str, ...]


def fetch_files(
    kaggle: Connection, folder: Path, entries: Iterable[Entry], progress: Progress
) -> Fetched:
    """Fetch into `folder` the files of those `entries` that Kaggle has and this machine has not.

    What Kaggle refuses, or is no table of Id,Category, is named; a broken connection ends it.
    """
    missing = [(entry.version, ref) for entry in entries if (ref := _reference(entry, folder))]
    versions, problems = [], []
    for done, (version, ref) in enumerate(missing, 1):
        try:
            _keep(path_of(folder, version), fetch(kaggle, ref))
            versions.append(version)
        except (BoardError, DataError) as error:
            problems.append(f"{version}: {error}")
            if isinstance(error, BoardError) and error.uncertain:
                break
        progress(done, len(missing))
    return Fetched(tuple(versions), tuple(problems))


def _keep(path: Path, content: bytes) -> None:
    write_bytes(path, content)
    try:
        read_submission(path)
    except DataError:
        path.unlink()
        raise


def _reference(entry: Entry, folder: Path) -> str | None:
    """Kaggle's number for a submission that was made elsewhere and whose file is not here."""
    if entry.created or path_of(folder, entry.version).exists():
        return None
    return next((event.ref for event in reversed(entry.submissions) if event.ref), None)


def fetch(kaggle: Connection, ref: str) -> bytes:
    """The file of the submission that Kaggle calls `ref`. DataError for one that is too large."""
    from kagglesdk.competitions.types.competition_api_service import ApiDownloadSubmissionRequest

    request, content = ApiDownloadSubmissionRequest(), b""
    request.submission_id = int(ref)
    with kaggle_errors(kaggle.competition), kaggle.api.build_kaggle_client() as client:
        response = client.competitions.competition_api_client.download_submission(request)
        for chunk in response.iter_content(CHUNK):
            content += chunk
            if len(content) > MAX_BYTES:
                raise DataError(f"submission {ref} is larger than {MAX_BYTES:,} bytes")
    return content
