"""What can go wrong, as one tree; the exit code of each branch is part of the interface.

Hw4Error
├── UsageError           2  what was asked makes no sense here
├── RecipeError          3  a recipe or a pipeline file is wrong
├── DataError            4  the dataset, or an artifact made from it, is wrong
├── BoardError           5  Kaggle or the network said no
├── QuotaError           6  today's submissions are used up
└── StorageError         5  the server of a study said no, or nothing

Shutdown
├── Stopped             75  a stage was asked to stop; the same command resumes it
├── LostRank            75  another process of the same training has ended
└── Interrupted        130  the same, by Ctrl-C

A Shutdown can be raised between any two instructions. As KeyboardInterrupt it is no Exception, so
that no `except Exception`, of hw4 or of a library, takes it for a failure of what was running.

Anything else is a fault of hw4's own: exit code 70. An error keeps its cause (`raise … from`), and
names no flag of the command line: whoever calls from Python has none.
"""

from collections.abc import Sequence

FAULT = 70  # the exit code of a fault of hw4's own


class WithRemedy(BaseException):
    """`what` happened and where, and what to do `then`."""

    exit_code = 1

    def __init__(self, what: str, then: str = "") -> None:
        super().__init__(f"{what}; {then}" if then else what)
        self.what = what
        self.then = then


class Hw4Error(WithRemedy, Exception):
    """Something the user can mend."""


class UsageError(Hw4Error):
    """`parameter` is the argument that is wrong or missing: `split` for --split."""

    exit_code = 2

    def __init__(self, what: str, then: str = "", parameter: str = "") -> None:
        super().__init__(what, then)
        self.parameter = parameter


class RecipeError(Hw4Error):
    exit_code = 3


class DataError(Hw4Error):
    """`problems` are all that was found, so that one run shows everything there is to mend."""

    exit_code = 4

    def __init__(self, what: str, then: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(what, then)
        self.problems = tuple(problems)


class BoardError(Hw4Error):
    """`uncertain`: the connection broke before an answer, so what was asked may have been done."""

    exit_code = 5

    def __init__(self, what: str, then: str = "", uncertain: bool = False) -> None:
        super().__init__(what, then)
        self.uncertain = uncertain


class QuotaError(Hw4Error):
    exit_code = 6


class StorageError(Hw4Error):
    exit_code = 5


class Shutdown(WithRemedy):
    """The end of something that can be resumed: a signal asked for it."""


class Stopped(Shutdown):
    exit_code = 75


class LostRank(Shutdown):
    """Nobody asked this process to stop: it cannot train without the others."""

    exit_code = 75


class Interrupted(Shutdown):
    exit_code = 130
