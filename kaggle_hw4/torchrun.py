"""What torchrun tells each of the processes that it starts; without it there is one."""

import os
from dataclasses import dataclass

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
RESTARTS = "TORCHELASTIC_MAX_RESTARTS"


@dataclass(frozen=True)
class Process:
    """Number `rank` of `count` processes, and number `local_rank` on its host. With `restarts`
    torchrun starts all of them again when one has ended with another exit code than 0.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    restarts: bool = False


def this_process() -> Process:
    """The present one, by torchrun's environment variables."""
    if not all(os.environ.get(name) for name in VARIABLES):
        return Process()
    rank, count, local_rank = (os.environ[name] for name in VARIABLES[:3])
    if not (rank + count + local_rank).isdecimal():
        return Process()
    restarts = os.environ.get(RESTARTS, "0") != "0"
    return Process(int(rank), int(count), int(local_rank), restarts)
