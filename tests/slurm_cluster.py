"""A Slurm of one node on this machine, with Debian's slurm-wlm and munge."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
CONFIG = """
ClusterName=hw4
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
MinJobAge=60
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 MaxTime=60
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60
"""


def is_installed() -> bool:
    """Whether the programs are there, and may be started."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return os.geteuid() == 0 and all(shutil.which(name, path=path) for name in PROGRAMS)


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start it, and yield the variables that its users need; its logs are in `folder`."""
    folder.chmod(0o755)
    munge = folder / "munge"
    munge.mkdir(mode=0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    config = folder / "slurm.conf"
    text = CONFIG.format(host=host, folder=folder, ports=free_ports(2))
    config.write_text(text)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = os.environ | {"SLURM_CONF": str(config), "PATH": path}
    options = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "munged.pid",
               "log-file": munge / "log", "seed-file": munge / "seed"}  # fmt: skip
    try:
        start(environment, "munged", "--force", *(f"--{k}={v}" for k, v in options.items()))
        start(environment, "slurmctld")
        start(environment, "slurmd")
        until = time.monotonic() + 30
        while "idle" not in start(environment, "sinfo", "-h", "-o", "%T"):
            assert time.monotonic() < until, (folder / "slurmctld.log").read_text()
            time.sleep(0.5)
        yield environment
    finally:
        start(environment, "scancel", "--user=root")
        for pid in (folder / "slurmd.pid", folder / "slurmctld.pid", munge / "munged.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(pid.read_text()), signal.SIGTERM)


def start(environment: dict[str, str], *command: str) -> str:
    """Run a program, some of which put themselves in the background; what it prints."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
