"""The two clients that make the loads: fio, which everybody knows, and `hotbay bench`.

fio's own core is full before a server is: at a depth of 32 it is fio that would be measured. `hotbay bench` needs less
than half as much, for every server alike, since to it they are all NBD. Where the client does not matter fio is the one
that nobody suspects. What either used of a core is in the table, so that the reader sees whether it was the client that
was measured.
"""

import contextlib
import dataclasses
import json
import resource
import signal
import subprocess

from peers import Failed

FIO = ["fio", "--name=load", "--output-format=json", "--group_reporting", "--random_generator=tausworthe64"]
FIO_START_SECONDS = 0.3
RUN_SECONDS_MAX = 300
BLOCKS = {"4k": "4KiB", "1M": "1MiB"}
FIO_CLIENT, OWN_CLIENT = "fio", "hotbay bench"


@dataclasses.dataclass(frozen=True)
class Work:
    """What a client asks of a server."""

    pattern: str            # fio's words: read, write, randread, randwrite
    block: str              # "4k" or "1M"
    depth: int
    sessions: int = 1
    client: str = FIO_CLIENT
    fua: bool = False       # `hotbay bench` alone: fio's NBD engine does not do it
    offset_mib: int = 0     # `hotbay bench` alone
    requests: int | None = None

    @property
    def direction(self):
        return "read" if "read" in self.pattern else "write"

    @property
    def block_bytes(self):
        return {"4k": 4 << 10, "1M": 1 << 20}[self.block]

    @property
    def unit(self):
        return "MB/s" if self.block == "1M" else "IOPS"

    def command(self, binary, uri, seconds):
        if self.client == FIO_CLIENT:
            return [*FIO, "--ioengine=nbd", f"--uri={uri}", f"--rw={self.pattern}", f"--bs={self.block}",
                    f"--iodepth={self.depth}", f"--numjobs={self.sessions}", "--norandommap", "--time_based",
                    f"--runtime={int(seconds * 1000)}ms"]
        words = [binary, "bench", uri, "--json", "--block", BLOCKS[self.block], "--depth", str(self.depth),
                 "--sessions", str(self.sessions), "--time", f"{int(seconds * 1000)}ms"]
        words += ["--write", "--destroy-data"] if self.direction == "write" else []
        words += [] if self.pattern.startswith("rand") else ["--sequential"]
        words += ["--fua"] if self.fua else []
        words += ["--offset", f"{self.offset_mib}MiB"] if self.offset_mib else []
        words += ["--requests", str(self.requests)] if self.requests else []
        return words


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a client saw."""

    requests: int
    seconds: float
    sample: dict


def run(work, binary, uri, seconds):
    """The work to its end."""
    with started(work.command(binary, uri, seconds)) as process:
        return finished(process, work)


@contextlib.contextmanager
def started(command):
    """A client at work; it ends with the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def stop(process):
    """Both clients stop at SIGINT, and tell what they saw."""
    process.send_signal(signal.SIGINT)


def finished(process, work):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out, complaints = process.communicate(timeout=RUN_SECONDS_MAX)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    try:
        # Before fio's JSON comes a line of text.
        document = json.loads(out[out.index("{"):])
    except ValueError:
        raise Failed(f"{work.client}: {complaints.strip() or out.strip()[-300:]}") from None
    if work.client == FIO_CLIENT:
        return fio_saw(document["jobs"][0], work, complaints)
    if process.returncode != 0:
        raise Failed(f"{work.client}: {complaints.strip()}")
    return own_saw(document, work, cpu)


def fio_job(words):
    """fio for something else than a load: gives its one job."""
    with started([*FIO, *words]) as process:
        out, complaints = process.communicate(timeout=RUN_SECONDS_MAX)
    try:
        job = json.loads(out[out.index("{"):])["jobs"][0]
    except (ValueError, IndexError):
        raise Failed(f"fio: {complaints.strip() or out.strip()[-300:]}") from None
    return checked(job, complaints)


def checked(job, complaints):
    if job["error"]:
        raise Failed(f"fio: error {job['error']}: {complaints.strip()}")
    return job


def fio_saw(job, work, complaints):
    side = checked(job, complaints)[work.direction]
    seconds = side["runtime"] / 1e3
    # Of all jobs together, in percent of one job's time.
    busiest = (job["usr_cpu"] + job["sys_cpu"]) / 100
    return Seen(side["total_ios"], seconds, {
        "rate": side["bw_bytes"] / 1e6 if work.unit == "MB/s" else side["iops"],
        "p99_us": side["clat_ns"]["percentile"]["99.000000"] / 1e3,
        "max_ms": side["clat_ns"]["max"] / 1e6,
        "client_busiest": busiest,
        "client_cores": busiest * work.sessions,
    })


def own_saw(document, work, cpu):
    side = next((kind for kind in document["kinds"] if kind["kind"] == work.direction), None)
    if side is None:
        raise Failed("hotbay bench: not one request was answered")
    seconds = document["elapsed_ms"] / 1e3
    return Seen(side["requests"], seconds, {
        "rate": side["bytes_per_second"] / 1e6 if work.unit == "MB/s" else side["requests_per_second"],
        "p99_us": side["p99_us"],
        "max_ms": side["max_us"] / 1e3,
        "client_busiest": document["client_core_percent"] / 100,
        "client_cores": cpu / seconds,
    })
