"""Kaggle through its official client, which is imported only here and only when needed."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kaggle_hw4.competition import DEFAULT
from kaggle_hw4.data.archive import join, unpack
from kaggle_hw4.errors import BoardError, DataError, UsageError

RETRIES = 5  # of a broken download; each resumes where the last one stopped
SPACE = 3  # times the archive's size is needed on the disk while it is unpacked

INSTALL = "run pip install 'kaggle_hw4[kaggle]'"
CONFIGURE = "name a folder it may write to in KAGGLE_CONFIG_DIR"
SIGN_IN = (
    "make a token at https://www.kaggle.com/settings/api and put it in KAGGLE_API_TOKEN "
    "or ~/.kaggle/access_token (an older kaggle.json belongs in ~/.kaggle)"
)
AGAIN = "run the same command again"

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all (where that is known)


def download(
    into: Path,
    competition: str = DEFAULT.slug,
    progress: Progress | None = None,
    retries: int = RETRIES,
) -> Path:
    """Fetch the competition's files and return `into/Dataset`, which is created atomically.

    The next download resumes one that a broken connection has left in `into`. Raises UsageError
    where the folder exists, BoardError where Kaggle refuses, DataError for a useless archive.
    """
    dataset = into / "Dataset"
    if dataset.exists():
        raise UsageError(f"{dataset} is already there", "use it, or remove it to download again")
    api = connect(competition).api
    with kaggle_errors(competition), _work_folder(into, competition) as folder:
        archive = _fetch(api, competition, folder / "archive", progress, retries)
        try:
            _find_dataset(archive, folder).replace(dataset)
        except DataError:
            archive.unlink()  # or the next download would resume it
            raise
        shutil.rmtree(folder)
    return dataset


@dataclass(frozen=True)
class Connection:
    """The authenticated KaggleApi, and the competition that it is asked about."""

    api: Any
    competition: str  # Kaggle's name for it


def credentials() -> list[str | Path]:
    """The environment variables and the files in which the client would find credentials."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    places: list[str | Path] = []
    if os.environ.get("KAGGLE_API_TOKEN"):
        places.append("KAGGLE_API_TOKEN")
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        places.append("KAGGLE_USERNAME and KAGGLE_KEY")
    files = (Path.home() / ".kaggle" / "access_token", folder / "kaggle.json")
    return [*places, *(path for path in files if path.is_file())]


def connect(competition: str) -> Connection:
    """Sign in. Raises BoardError where the client or the credentials are missing or refused."""
    try:
        with redirect_stdout(StringIO()):  # it authenticates, and prints, as soon as it is imported
            from kaggle.api.kaggle_api_extended import KaggleApi
    except ImportError as error:
        raise BoardError(f"the Kaggle client is not installed ({error})", INSTALL) from error
    except OSError as error:  # it makes its folder as soon as it is imported
        raise BoardError(f"the Kaggle client cannot start ({error})", CONFIGURE) from error
    api = KaggleApi()
    with kaggle_errors(competition):
        try:
            api.authenticate()
        except SystemExit as error:
            raise BoardError("Kaggle's credentials are missing or not valid", SIGN_IN) from error
    return Connection(api, competition)


@contextmanager
def kaggle_errors(competition: str) -> Iterator[None]:
    """Keep the client's prints off the screen, and raise its errors as BoardError or DataError."""
    import requests

    try:
        with redirect_stdout(StringIO()):
            yield
    except requests.HTTPError as error:
        raise _refusal(error, competition) from error
    except requests.RequestException as error:
        reason = f"Kaggle cannot be reached, or the connection broke ({type(error).__name__})"
        raise BoardError(reason, f"check the network and {AGAIN}", uncertain=True) from error
    except OSError as error:
        where = error.filename or "the disk"
        raise DataError(f"{where} cannot be written ({error.strerror})") from error


def _refusal(error: Any, competition: str) -> BoardError:
    """Kaggle's answer and what to do about it."""
    status = error.response.status_code if error.response is not None else 0
    page = f"https://www.kaggle.com/competitions/{competition}"
    remedy = {
        401: SIGN_IN,
        403: f"join the competition and accept its rules at {page}/rules",
        404: f"look whether {page} exists",
        429: f"too many requests: wait a few minutes and {AGAIN}",
    }.get(status, "the fault is on Kaggle's side: try again later")
    reason = f"Kaggle answered {status} for {competition} ({_reason(error)})"
    return BoardError(reason, remedy, uncertain=status >= 500)


def _reason(error: Any) -> str:
    """Kaggle's own words on one line, without the address that was asked."""
    words = " ".join(str(error).split()).partition(" for url")[0]
    return words[:200] or "no reason given"


@contextmanager
def _work_folder(into: Path, competition: str) -> Iterator[Path]:
    """The folder of an unfinished download, for one process at a time."""
    folder = into / f".{competition}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(into / f".{competition}.lock", timeout=0):
            yield folder
    except Timeout as error:
        raise UsageError(f"another download to {into} is running", "wait for it") from error


def _fetch(
    api: Any, competition: str, archive: Path, progress: Progress | None, retries: int
) -> Path:
    from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

    request = ApiDownloadDataFilesRequest()
    request.competition_name = competition
    with api.build_kaggle_client() as kaggle:
        response = kaggle.competitions.competition_api_client.download_data_files(request)
        if not api.download_needed(response, str(archive)):  # stopped while unpacking
            return archive
        total = int(response.headers.get("Content-Length") or 0) or None
        _check_space(archive.parent, (total or 0) - _size(archive))
        http = kaggle.http_client()
        try:
            with _reporting_size(archive, total, progress):
                api.download_file(response, str(archive), http, resume=True, max_retries=retries)
        except ValueError as error:  # of a wrong size: resuming it would keep the wrong bytes
            archive.unlink(missing_ok=True)
            raise BoardError(f"the download is not complete ({error})", AGAIN) from error
    return archive


def _check_space(folder: Path, missing: int) -> None:
    """Raise before hours of downloading, not after, where the files will not fit."""
    need, free = SPACE * missing, shutil.disk_usage(folder).free
    if need > free:
        raise DataError(
            f"{folder.parent}: {free / 1e9:.1f} GB free, the dataset needs {need / 1e9:.1f} GB",
            "make room, or download to another disk",
        )


@contextmanager
def _reporting_size(file: Path, total: int | None, progress: Progress | None) -> Iterator[None]:
    """Report the size of `file` while it grows: the client itself reports nothing."""
    if progress is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            progress(_size(file), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        progress(_size(file), total)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _find_dataset(archive: Path, folder: Path) -> Path:
    """The folder with metadata.json in `archive`, or in an archive that it holds (once)."""
    shutil.rmtree(folder / "files", ignore_errors=True)  # of a download that was stopped here
    files = unpack(archive, folder / "files")
    inner = None if _with_metadata(files) else _inner_archive(files)
    if inner:
        unpack(inner, files / "inner")
    if dataset := _with_metadata(files):
        return dataset
    raise DataError(
        "the competition's archive holds no metadata.json",
        "download it from the Data page of the competition and run hw4 data pack on its folder",
    )


def _with_metadata(folder: Path) -> Path | None:
    files = sorted(folder.rglob("metadata.json"), key=lambda path: len(path.parts))
    return files[0].parent if files else None


def _inner_archive(folder: Path) -> Path | None:
    """An archive among the files, joined where it came in parts."""
    if parts := list(folder.rglob("*.tar.gz.part*")):
        return join(parts, folder / "joined.tar.gz")
    kinds = ("*.tar.gz", "*.tgz", "*.tar", "*.zip")
    archives = [path for kind in kinds for path in folder.rglob(kind)]
    return archives[0] if archives else None
