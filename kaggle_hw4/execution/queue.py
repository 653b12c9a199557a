"""The states of jobs in Slurm's queue, asked for all of them at a time."""

import subprocess
import time

EVERY = 2.0  # seconds between two looks at the queue
ACTIVE = {  # states of a job that has not ended, and what the table calls them
    "PENDING": "queued",
    "CONFIGURING": "queued",
    "REQUEUED": "queued",
    "REQUEUE_HOLD": "held",
    "RESV_DEL_HOLD": "held",
    "SPECIAL_EXIT": "held",
    "SUSPENDED": "suspended",
    "STOPPED": "suspended",
    "PREEMPTED": "preempted",
    "SIGNALING": "training",
    "RUNNING": "training",
    "STAGE_OUT": "training",
    "COMPLETING": "training",
}
GONE = "GONE"  # of a job that the queue has forgotten
UNKNOWN_JOB = "Invalid job id"


class SlurmQueue:
    """What `squeue` says of the jobs that were submitted here."""

    def __init__(self) -> None:
        self.ids: set[str] = set()  # an array is one
        self.states: dict[str, str] = {}
        self.read_at = float("-inf")

    def add(self, job: str) -> None:
        self.ids.add(job.partition("_")[0])
        self.read_at = float("-inf")

    def state(self, job: str) -> str:
        """Slurm's word for it, at most EVERY seconds old."""
        if time.monotonic() - self.read_at > EVERY:
            self._read()
        return self.states.get(job, "PENDING")

    def _read(self) -> None:
        self.read_at = time.monotonic()
        command = ["squeue", "-h", "-r", "-t", "all", "-o", "%i|%T", "-j", ",".join(self.ids)]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode and UNKNOWN_JOB not in answer.stderr:
            return  # Slurm's controller is busy or away: what was known stays
        listed = dict(line.split("|") for line in answer.stdout.split())
        self.states = dict.fromkeys(self.states, GONE) | listed


def cancel(job: str) -> None:
    """Have Slurm send SIGTERM, and SIGKILL where that does not end it; a queued one is removed."""
    subprocess.run(["scancel", job], capture_output=True)
