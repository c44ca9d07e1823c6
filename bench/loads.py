"""The loads, each of which gives one sample: what a client saw, and what it cost the server.

A sample is a dictionary: `rate` (in the row's unit), `p99_us`, `max_ms`, `cpu_us` (of the server, per request, or per
MiB for copies), `server_cores` and `client_cores` (processor seconds per second of the load), `client_busiest` (of its
busiest session), `rss_mib`, `seconds`. A load gives those that it can know.
"""

import contextlib
import dataclasses
import mmap
import os
import resource
import subprocess
import time

import clients
from peers import MIB, Failed

DISTURBED_SECONDS_MAX = 120
# What is called cold has to read at least this share of its bytes from the disk, and what is not, at most that.
COLD_SHARE_MIN, WARM_SHARE_MAX = 0.9, 0.1


def served(binary, server, work, seconds, prepare=None, cold=False):
    """A load over NBD for so many seconds, after `prepare`."""
    if prepare:
        prepare()
    with costs(server) as cost:
        seen = clients.run(work, binary, server.address.uri, seconds)
    check_temperature(server, cold, cost.disk_read_bytes / max(seen.requests * work.block_bytes, 1))
    return seen.sample | cost.sample(seen.requests, seen.seconds)


def check_temperature(server, cold, share):
    """By the kernel's count, so that a cache that was not dropped does not pass for a fast server, or the reverse."""
    if (share < COLD_SHARE_MIN) if cold else (share > WARM_SHARE_MAX):
        raise Failed(f"{server.label}: {share:.2f} of what it served was read from the disk")


def disturbed(binary, server, work, seconds, act):
    """A load in the midst of which something happens; `seconds` of it before and after."""
    command = work.command(binary, server.address.uri, DISTURBED_SECONDS_MAX)
    with costs(server) as cost, clients.started(command) as process:
        time.sleep(seconds + clients.FIO_START_SECONDS)
        act()
        time.sleep(seconds)
        if process.poll() is not None:
            raise Failed("the client ended before what was to happen had happened")
        clients.stop(process)
        seen = clients.finished(process, work)
    sample = seen.sample | cost.sample(seen.requests, seen.seconds)
    # `act` runs commands, whose processor time is among the children's.
    return {key: value for key, value in sample.items() if key != "client_cores"}


@dataclasses.dataclass
class Cost:
    """What the server needed between two moments."""

    cpu_ns: int = 0
    rss_mib: float = 0.0
    disk_read_bytes: int = 0

    def sample(self, units, seconds):
        return {"cpu_us": self.cpu_ns / 1e3 / max(units, 1), "rss_mib": self.rss_mib,
                "server_cores": self.cpu_ns / 1e9 / max(seconds, 1e-9)}


@contextlib.contextmanager
def costs(server):
    cost = Cost()
    server.forget_peak()
    cpu, read = server.cpu_ns(), server.disk_read_bytes()
    yield cost
    cost.cpu_ns = server.cpu_ns() - cpu
    cost.disk_read_bytes = server.disk_read_bytes() - read
    cost.rss_mib = server.peak_rss_mib()


def fill(server, pattern="write", block="1M", size_mib=None, alignment=None):
    """Writes every block of the volume once (or, with an alignment, one block in each such unit), and flushes."""
    words = ["--ioengine=nbd", f"--uri={server.address.uri}", f"--rw={pattern}", f"--bs={block}", "--iodepth=16",
             "--end_fsync=1"]
    if size_mib:
        words.append(f"--size={size_mib}M")
    if alignment:
        words += [f"--blockalign={alignment}", f"--io_size={size_mib // 2}M"]
    clients.fio_job(words)


def bare_appends(file, seconds):
    """No server at all: append 4k to a preallocated file, fdatasync, again."""
    file.unlink(missing_ok=True)
    settle()
    job = clients.fio_job(["--ioengine=psync", f"--filename={file}", "--rw=write", "--bs=4k", "--size=256M",
                           "--fdatasync=1", "--fallocate=native", "--time_based", f"--runtime={int(seconds * 1000)}ms"])
    side = job["write"]
    # What is waited for is the write and the sync that follows it.
    p99 = side["clat_ns"]["percentile"]["99.000000"] + job["sync"]["lat_ns"]["percentile"]["99.000000"]
    return {"rate": side["iops"], "p99_us": p99 / 1e3}


def program(command, mib):
    """A program that copies so many MiB, from its start to its end."""
    settle()
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=clients.RUN_SECONDS_MAX, check=False)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rate": mib * MIB / 1e6 / seconds, "seconds": seconds, "cpu_us": cpu * 1e6 / mib,
            "server_cores": cpu / seconds}


def sorted_writes(file, file_mib, mib):
    """Every other 4k block, in ascending order, in place, and a sync: what a replay has to do at the least."""
    settle()
    job = clients.fio_job(["--ioengine=psync", f"--filename={file}", "--rw=write:4k", "--bs=4k",
                           f"--size={file_mib}M", f"--io_size={mib}M", "--end_fsync=1"])
    # fio's own start is not in it, the sync is.
    seconds = job["job_runtime"] / 1e3
    cpu = (job["usr_cpu"] + job["sys_cpu"]) / 100
    return {"rate": mib * MIB / 1e6 / seconds, "seconds": seconds, "cpu_us": cpu * seconds * 1e6 / mib,
            "server_cores": cpu}


def commanded(server, mib, act):
    """Something hotbay does with so many MiB while clients are idle; `act` gives the seconds that it took."""
    settle()
    with costs(server) as cost:
        seconds = act()
    return {"rate": mib * MIB / 1e6 / seconds, "seconds": seconds} | cost.sample(mib, seconds)


def settle():
    """So that the writeback of what came before does not fall into what is measured."""
    os.sync()


def use_all_memory():
    """A virtual machine's memory is often not there: its host finds each page when it is used for the first time, and takes back
    what has not been used for a while. That takes some microseconds a page, many times what it takes to write it, and
    rows that write to fresh memory (a journal, a copy) would measure that. What was used just before is there."""
    with open("/proc/meminfo", encoding="ascii") as file:
        free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemFree:"))
    length = free - (2 << 30)
    if length > 0:
        mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def image(path, mib):
    """A file without holes and zeroes, on stable storage, its pages in the cache."""
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.flush()
        os.fsync(file.fileno())
    return path


def sparse(path, gib):
    """A file that is all hole."""
    with open(path, "wb") as file:
        file.truncate(gib << 30)
    return path


def drop_from_cache(path):
    """So that the next read comes from the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
