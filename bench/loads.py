"""The loads, each of which gives one sample: what a client saw, and what it cost the server.

A sample is a dictionary: `rate` (in the row's unit), `p99_us`, `max_ms`, `cpu_us` (of the server, per request, or per
MiB for copies), `rss_mib`, `seconds`. A load gives those that it can know.
"""

import contextlib
import dataclasses
import json
import os
import resource
import signal
import subprocess
import time

from nbd_client import Session
from peers import MIB, Failed

FIO = ["fio", "--name=load", "--output-format=json", "--group_reporting", "--random_generator=tausworthe64"]
FIO_START_SECONDS = 0.3
DISTURBED_SECONDS_MAX = 120


@dataclasses.dataclass(frozen=True)
class Work:
    """What fio asks of a server."""

    pattern: str          # fio's --rw
    block: str            # "4k" or "1M"
    depth: int
    sessions: int = 1
    repeats: bool = True  # whether a random load may come to a block again: cheaper for fio

    @property
    def direction(self):
        return "read" if "read" in self.pattern else "write"

    @property
    def unit(self):
        return "MB/s" if self.block == "1M" else "IOPS"

    def words(self):
        words = [f"--rw={self.pattern}", f"--bs={self.block}", f"--iodepth={self.depth}",
                 f"--numjobs={self.sessions}"]
        return words + (["--norandommap"] if self.repeats else [])


def fio(words):
    """Runs fio to its end; gives its one job."""
    with started(words) as process:
        return finished(process)


@contextlib.contextmanager
def started(words):
    """A fio at work; it ends with the block."""
    process = subprocess.Popen([*FIO, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def finished(process):
    out, complaints = process.communicate(timeout=300)
    try:
        # A line of text comes before the JSON.
        job = json.loads(out[out.index("{"):])["jobs"][0]
    except (ValueError, IndexError):
        raise Failed(f"fio: {complaints.strip() or out.strip()[-300:]}") from None
    if job["error"]:
        raise Failed(f"fio: error {job['error']}: {complaints.strip()}")
    return job


def nbd_words(server, work, seconds):
    return ["--ioengine=nbd", f"--uri={server.address.uri}", *work.words(), "--time_based",
            f"--runtime={int(seconds * 1000)}ms"]


def served(server, work, seconds, warm=0.0, prepare=None):
    """A load over NBD for so many seconds, after a warm-up that does not count."""
    if warm:
        fio(nbd_words(server, work, warm))
    if prepare:
        prepare()
    with costs(server) as cost:
        job = fio(nbd_words(server, work, seconds))
    return seen_by_client(job, work) | cost.sample(job[work.direction]["total_ios"])


def disturbed(server, work, seconds, act):
    """A load in the midst of which something happens; `seconds` of it before and after."""
    with costs(server) as cost, started(nbd_words(server, work, DISTURBED_SECONDS_MAX)) as process:
        time.sleep(seconds + FIO_START_SECONDS)
        act()
        time.sleep(seconds)
        if process.poll() is not None:
            raise Failed("fio ended before what was to happen had happened")
        # It stops and reports.
        process.send_signal(signal.SIGINT)
        job = finished(process)
    return seen_by_client(job, work) | cost.sample(job[work.direction]["total_ios"])


def seen_by_client(job, work):
    side = job[work.direction]
    return {
        "rate": side["bw_bytes"] / 1e6 if work.unit == "MB/s" else side["iops"],
        "p99_us": side["clat_ns"]["percentile"]["99.000000"] / 1e3,
        "max_ms": side["clat_ns"]["max"] / 1e6,
    }


@dataclasses.dataclass
class Cost:
    """What the server needed between two moments."""

    cpu_ns: int = 0
    rss_mib: float = 0.0

    def sample(self, units):
        return {"cpu_us": self.cpu_ns / 1e3 / max(units, 1), "rss_mib": self.rss_mib}


@contextlib.contextmanager
def costs(server):
    cost = Cost()
    server.forget_peak()
    before = server.cpu_ns()
    yield cost
    cost.cpu_ns = server.cpu_ns() - before
    cost.rss_mib = server.peak_rss_mib()


def fill(server, pattern="write", block="1M", size_mib=None, alignment=None):
    """Writes every block of the volume once (or, with an alignment, one block in each such unit), and flushes."""
    words = ["--ioengine=nbd", f"--uri={server.address.uri}", f"--rw={pattern}", f"--bs={block}", "--iodepth=16",
             "--end_fsync=1"]
    if size_mib:
        words.append(f"--size={size_mib}M")
    if alignment:
        words += [f"--blockalign={alignment}", f"--io_size={size_mib // 2}M"]
    fio(words)


def stable(server, depth, seconds, warm=0.0):
    """4k writes with FUA, which fio's NBD engine does not do."""
    with Session(server.address) as session:
        if warm:
            session.stable_writes(warm, depth)
        with costs(server) as cost:
            begin = time.perf_counter()
            latencies = sorted(session.stable_writes(seconds, depth))
            elapsed = time.perf_counter() - begin
    seen = {"rate": len(latencies) / elapsed, "p99_us": latencies[int(len(latencies) * 0.99)],
            "max_ms": latencies[-1] / 1e3}
    return seen | cost.sample(len(latencies))


def bare_appends(file, seconds):
    """No server at all: append 4k to a preallocated file, fdatasync, again."""
    file.unlink(missing_ok=True)
    job = fio(["--ioengine=psync", f"--filename={file}", "--rw=write", "--bs=4k", "--size=256M", "--fdatasync=1",
               "--fallocate=native", "--time_based", f"--runtime={int(seconds * 1000)}ms"])
    side = job["write"]
    # What is waited for is the write and the sync that follows it.
    p99 = side["clat_ns"]["percentile"]["99.000000"] + job["sync"]["lat_ns"]["percentile"]["99.000000"]
    return {"rate": side["iops"], "p99_us": p99 / 1e3}


def program(command, mib):
    """A program that copies so many MiB, from its start to its end."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rate": mib * MIB / 1e6 / seconds, "seconds": seconds, "cpu_us": cpu * 1e6 / mib}


def commanded(server, mib, act):
    """Something hotbay does with so many MiB while clients are idle; `act` gives the seconds that it took."""
    with costs(server) as cost:
        seconds = act()
    return {"rate": mib * MIB / 1e6 / seconds, "seconds": seconds} | cost.sample(mib)


def image(path, mib):
    """A file without holes and zeroes, on stable storage, its pages in the cache."""
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.flush()
        os.fsync(file.fileno())
    return path


def drop_from_cache(path):
    """So that the next read comes from the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
