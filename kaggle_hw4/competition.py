"""Every fact about Kaggle's side: the editions of the competition, their boards, the features.

The source of a fact is given beside it. Scores of two editions are not comparable: each had a
test set of its own, drawn in its own way.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import log

N_MELS = 40  # bands of a frame, 10 ms each
LOG_FLOOR = log(1e-9)  # nat: log(clamp(mel, 1e-9)), the front end's (yistLin/dvector)
LADDER = ("simple", "medium", "strong", "boss", "champion")  # hw4's variants, weakest first

# (Accuracy in validation by utterance, public score) of published solutions.
Published = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Edition:
    """One year's competition. `fingerprint` is that of its test set, where it is known."""

    year: int
    slug: str  # Kaggle's name for it, part of its address
    speakers: int
    training_utterances: int
    test_utterances: int
    fingerprint: str | None
    baselines: Mapping[str, float] = field(default_factory=dict)  # public scores, lowest first
    known_results: Published = ()
    folds_by: str = "session"  # what validation has to hold out to resemble the test set

    @property
    def page(self) -> str:
        """The competition's web page."""
        return f"https://www.kaggle.com/competitions/{self.slug}"

    @property
    def submit_page(self) -> str:
        """Where a submission is uploaded by hand."""
        return f"{self.page}/submissions"

    @property
    def board_rows(self) -> int:
        """How many rows each of the public and the private board scores: half of the test set."""
        return self.test_utterances // 2


# Baselines: the course's slides. The test set of 2022 was split off by recording session, that of
# 2023 drawn by utterance from the same utterances (duplicates, overlaps and scores agree). 2021 is
# VoxCeleb1; its baselines and its fingerprint are unknown.
EDITIONS = (
    Edition(
        year=2021,
        slug="ml2021spring-hw4",
        speakers=600,
        training_utterances=69_438,
        test_utterances=6_000,
        fingerprint=None,
        folds_by="utterance",
    ),
    Edition(
        year=2022,
        slug="ml2022spring-hw4",
        speakers=600,
        training_utterances=56_666,
        test_utterances=8_000,
        fingerprint="0f5f05735b7d9a4f03dee55e5aaa1da29197cf38b7bf3f8dbf7c029e60ba07c0",
        baselines={"Simple": 0.60824, "Medium": 0.70375, "Strong": 0.77750, "Boss": 0.86500},
        known_results=(
            (0.67, 0.5995), (0.9236, 0.7855), (0.9306, 0.843), (0.9433, 0.881), (0.946, 0.837),
        ),  # five public solutions, all validated by utterance
    ),
    Edition(
        year=2023,
        slug="ml2023spring-hw4",
        speakers=600,
        training_utterances=56_666,
        test_utterances=8_000,
        fingerprint="02dce76c6ed6afeb2b8c7dc855d3b5f9b0f4ce41762d45c0ece9257c4039445f",
        baselines={"Simple": 0.66025, "Medium": 0.81750, "Strong": 0.88500, "Boss": 0.93000},
        folds_by="utterance",
    ),
)  # fmt: skip
DEFAULT = EDITIONS[1]  # 2022, which hw4 was written for: where nothing says which edition it is
NO_EDITION = "this corpus is no edition of the competition"  # a synthetic one, for example


def fingerprint(test_ids: Iterable[str]) -> str:
    """The sha256 of the test utterances' file names, sorted and joined by newlines."""
    import hashlib  # 5 ms, which a help text need not spend

    return hashlib.sha256("\n".join(sorted(test_ids)).encode()).hexdigest()


def edition_of(test_ids: Collection[str], training_utterances: int) -> Edition | None:
    """The edition whose test set this is, by its names or, where those are unknown, its sizes."""
    own = fingerprint(test_ids)
    sizes = (training_utterances, len(test_ids))
    for edition in EDITIONS:
        known = (edition.training_utterances, edition.test_utterances)
        if edition.fingerprint == own or (edition.fingerprint is None and known == sizes):
            return edition
    return None


def edition_named(year: int | None) -> Edition | None:
    """The edition of that year; None where there is none."""
    return next((edition for edition in EDITIONS if edition.year == year), None)


def destination(edition: Edition | None) -> Edition:
    """The competition whose board scores a submission: the default one where the corpus is none."""
    return edition or DEFAULT
