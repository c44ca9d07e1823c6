"""Rows without the medium, and on the way: the journal, a replay, a swap, and what clients feel of a change.

The peers are whatever does the same work without the promises: hotbay with its medium, nbdkit that keeps writes aside
(its cow filter), a bare loop of appends and syncs, dd, nbdcopy.
"""

import contextlib
import functools

import loads
from loads import Work
from nbd_client import Session
from peers import Hotbay, nbdkit
from report import Contestant, Row

PAUSE_LOAD = Work("randwrite", "4k", 8)
PAUSE_TARGET_MS = 10.0


@contextlib.contextmanager
def absent_and_peers(bench):
    """A hotbay without its medium; beside it hotbay with its medium, nbdkit, and nbdkit that keeps writes aside."""
    with contextlib.ExitStack() as stack:
        names = ("absent", "present", "nbdkit", "cow")
        images = {name: bench.image(bench.disk, name) for name in names}
        for image in images.values():
            stack.callback(image.unlink, missing_ok=True)
        servers = (Hotbay(bench.hotbay, images["absent"], bench.disk, "hotbay absent"),
                   Hotbay(bench.hotbay, images["present"], bench.disk, "hotbay present"),
                   nbdkit(images["nbdkit"], bench.disk),
                   nbdkit(images["cow"], bench.disk, "nbdkit cow", filters=("cow",)))
        yield [stack.enter_context(server) for server in servers]


def absent_writes(bench):
    rows = [("absent 4k write QD32, disk", Work("randwrite", "4k", 32), "cpu_us", "fio's core, then the disk's writeback"),
            ("absent 1M write QD4, disk", Work("write", "1M", 4), "rate", "copies in memory, then the disk's writeback")]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    with absent_and_peers(bench) as (absent, present, plain, cow):
        for name, work, judge, bound in rows:
            contestants = [Contestant(absent.label, bench.served(absent, work, prepare=absent.empty_journal)),
                           *(Contestant(s.label, bench.served(s, work)) for s in (present, plain, cow))]
            absent.eject()
            bench.measure(Row(name, work.unit, contestants, judge, bound, bench.scale.rounds))


def absent_reads(bench):
    rows = [("absent 4k read QD32, disk", Work("randread", "4k", 32), "cpu_us", "fio's core: compare CPU"),
            ("absent 1M read QD4, disk", Work("read", "1M", 4), "rate", "copies in memory")]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    with absent_and_peers(bench) as servers:
        servers[0].eject()
        loads.fill(servers[0])
        loads.fill(servers[3])
        for name, work, judge, bound in rows:
            contestants = [Contestant(s.label, bench.served(s, work)) for s in servers]
            bench.measure(Row(name, work.unit, contestants, judge, f"{bound}; all in the page cache",
                              bench.scale.rounds))


def stable_writes(bench):
    names = {1: "absent 4k write + FUA QD1, disk", 16: "absent 4k write + FUA QD16, disk"}
    if not bench.wants(*names.values()):
        return
    with absent_and_peers(bench) as (absent, present, plain, _):
        absent.eject()
        for depth, name in names.items():
            contestants = [Contestant(s.label, functools.partial(loads.stable, s, depth, bench.scale.seconds,
                                                                 bench.scale.warm_seconds))
                           for s in (absent, present, plain)]
            contestants.append(Contestant("bare append + fdatasync QD1", functools.partial(
                loads.bare_appends, bench.disk / "bare", bench.scale.seconds)))
            bench.measure(Row(name, "IOPS", contestants, "rate", "the disk's sync", bench.scale.rounds))
        (bench.disk / "bare").unlink(missing_ok=True)


def replay(bench):
    size = bench.scale.copied
    sequential = f"replay of {size}, sequential, disk"
    random = f"replay of {size}, random 4k, disk"
    if not bench.wants(sequential, random):
        return
    mib = bench.scale.copy_mib
    source, target = bench.image(bench.disk, "source", mib), bench.image(bench.disk, "target", 2 * mib)
    medium = bench.image(bench.disk, "medium", 2 * mib)
    dd = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=notrunc,fsync", "status=none"]
    # Every other 4k block, in ascending order, in place: what a replay has to do at the least.
    sorted_writes = ["fio", "--name=w", "--ioengine=psync", f"--filename={target}", "--rw=write:4k", "--bs=4k",
                     f"--size={2 * mib}M", f"--io_size={mib}M", "--end_fsync=1"]
    with Hotbay(bench.hotbay, medium, bench.disk, journal_mib=4 * mib + 512) as hotbay:

        def replayed(**filling):
            hotbay.empty_journal()
            loads.fill(hotbay, **filling)
            return loads.commanded(hotbay, mib, hotbay.insert)

        for name, filling, label, command in (
                (sequential, {"size_mib": mib}, "dd conv=fsync", dd),
                (random, {"pattern": "randwrite", "block": "4k", "size_mib": 2 * mib, "alignment": "8k"},
                 "sorted pwrite loop", sorted_writes)):
            contestants = [Contestant(hotbay.label, functools.partial(replayed, **filling)),
                           Contestant(label, functools.partial(loads.program, command, mib))]
            bench.measure(Row(name, "MB/s", contestants, "rate", "the disk", bench.scale.copy_rounds, per="MiB"))
    for image in (source, target, medium):
        image.unlink()


def swap(bench):
    for place, directory in (("tmpfs", bench.memory), ("disk", bench.disk)):
        name = f"swap's copy of {bench.scale.copied}, {place}"
        if bench.wants(name):
            swap_in(bench, name, directory, "copies in memory" if place == "tmpfs" else "the disk")


def swap_in(bench, name, directory, bound):
    mib = bench.scale.copy_mib
    here, copy = bench.image(directory, "source", mib), directory / "copy.img"
    media = [bench.image(directory, "medium", mib), directory / "other.img"]
    with Hotbay(bench.hotbay, media[0], bench.disk) as hotbay, nbdkit(here, bench.disk) as server, \
            Session(hotbay.address):

        def swapped():
            target = media[1]
            sample = loads.commanded(hotbay, mib, lambda: hotbay.run("swap", "a", f"file:{target}?create={mib}MiB"))
            media.reverse()
            media[1].unlink()
            return sample

        def copied(origin):
            copy.unlink(missing_ok=True)
            return loads.program(["nbdcopy", "--flush", origin, copy], mib)

        contestants = [Contestant(hotbay.label, swapped),
                       Contestant("nbdcopy, file to file", functools.partial(copied, here)),
                       Contestant("nbdcopy, nbdkit to file", functools.partial(copied, server.address.uri))]
        bench.measure(Row(name, "MB/s", contestants, "rate", bound, bench.scale.copy_rounds, per="MiB"))
    for image in (here, copy, *media):
        image.unlink(missing_ok=True)


def pauses(bench):
    """The longest that a client waits for a write while the volume changes its state under it."""
    events = {event: f"longest wait of a 4k write QD8, {event}, disk"
              for event in ("nothing happens", "a pull", "a replay's end", "a swap")}
    if not bench.wants(*events.values()):
        return
    media = [bench.image(bench.disk, "medium"), bench.disk / "other.img"]
    with Hotbay(bench.hotbay, media[0], bench.disk, journal_mib=16384) as hotbay:

        def exchange():
            hotbay.run("swap", "a", f"file:{media[1]}?create={bench.scale.image_mib}MiB")
            media.reverse()
            media[1].unlink()

        def disturbed(before, act):
            before()
            return loads.disturbed(hotbay, PAUSE_LOAD, bench.scale.seconds / 2, act)

        for event, before, act in (("nothing happens", hotbay.insert, lambda: None),
                                   ("a pull", hotbay.insert, lambda: hotbay.run("pull", "a")),
                                   ("a replay's end", hotbay.empty_journal, hotbay.insert),
                                   ("a swap", hotbay.insert, exchange)):
            contestants = [Contestant(hotbay.label, functools.partial(disturbed, before, act)),
                           Contestant("target", lambda: {"max_ms": PAUSE_TARGET_MS})]
            bench.measure(Row(events[event], "IOPS", contestants, "max_ms", "the page cache of the disk",
                              bench.scale.rounds))
    for image in media:
        image.unlink(missing_ok=True)


SECTIONS = (absent_writes, absent_reads, stable_writes, replay, swap, pauses)
