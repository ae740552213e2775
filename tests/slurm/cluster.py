"""A SLURM cluster of this machine alone: munge, slurmctld and slurmd on loopback, as root and without systemd.

`python tests/slurm/cluster.py COMMAND...` runs a command in one, for example `sinfo`."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
SECONDS = 60
"""A client or daemon that takes longer hangs."""

CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=86400
KillWait=15
MpiDefault=none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=UNLIMITED State=UP
PartitionName=gpu Nodes={host} MaxTime=UNLIMITED State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: `environment` is that of a user who is logged in."""

    folder: Path
    environment: dict[str, str]

    def ask(self, *command: str) -> str:
        """What a client of SLURM answers."""
        done = subprocess.run(
            command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
        return done.stdout.strip()

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the controller remembers, as `scontrol` shows them."""
        listed = self.ask("scontrol", "show", "job", "--oneliner").splitlines()
        return [dict(word.partition("=")[::2] for word in line.split() if "=" in word) for line in listed]

    def clear(self) -> None:
        """Ends all jobs: their steps would outlive the daemons."""
        self.ask("scancel", "--user", "root")
        _until(lambda: not self.ask("squeue", "--noheader"), self.folder)


@contextmanager
def running() -> Iterator[Cluster]:
    """Starts the daemons, waits until the node is idle, and stops them by their process ids."""
    with tempfile.TemporaryDirectory(prefix="slurm") as name, ExitStack() as stack:
        folder = Path(name)
        for inner in ("state", "spool", "bin"):
            (folder / inner).mkdir()
        host, conf = socket.gethostname().split(".")[0], folder / "slurm.conf"
        conf.write_text(CONF.format(host=host, folder=folder, ports=_free_ports(2)))
        (folder / "gres.conf").write_text("Name=gpu File=/dev/tty[0-1]\n")  # character devices stand in for GPUs
        for client in CLIENTS:  # Snakemake's job step strips SLURM_CONF from the environment of its clients
            path = folder / "bin" / client
            path.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec timeout --foreground 600 /usr/bin/{client} "$@"\n')
            path.chmod(0o755)
        cluster = Cluster(folder, {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"})
        stack.enter_context(_daemon(folder, "munged", "--foreground", *_key(folder)))
        _until((folder / "munge.socket").exists, folder)
        stack.enter_context(_daemon(folder, "slurmctld", "-D", "-c", "-f", str(conf)))
        stack.enter_context(_daemon(folder, "slurmd", "-D", "-f", str(conf), "-N", host))
        _until(lambda: cluster.ask("sinfo", "--noheader", "-o", "%T", "-p", "short") == "idle", folder)
        stack.callback(cluster.clear)
        yield cluster


def _key(folder: Path) -> list[str]:
    """A key of this cluster's own, and munge's options for it."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    files = {
        "key-file": key,
        "socket": folder / "munge.socket",
        "seed-file": folder / "munge.seed",
        "pid-file": folder / "munge.pid",
    }
    return ["--force", *(f"--{option}={path}" for option, path in files.items())]


@contextmanager
def _daemon(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    """A daemon in the foreground, as a process of ours: at the end exactly that one is stopped."""
    with (folder / f"{name}.out").open("w") as log:
        process = subprocess.Popen([f"/usr/sbin/{name}", *arguments], stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(true, folder: Path) -> None:
    """Waits; says what the daemons said if it waits in vain."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with suppress(RuntimeError, subprocess.TimeoutExpired):
            if true():
                return
        time.sleep(0.2)
    raise RuntimeError("\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(folder.glob("*.out"))))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with running() as here:
        sys.exit(subprocess.run(sys.argv[1:], env=here.environment).returncode)
