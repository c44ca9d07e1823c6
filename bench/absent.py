"""Rows without the medium, and on the way: the journal, a replay, a swap, and what clients feel of a change.

The peers are whatever does the same work without the promises: hotbay with its medium, nbdkit that keeps writes aside
(its cow filter), a bare loop of appends and syncs, dd, nbdcopy.
"""

import contextlib
import functools

import goals
import loads
import present
from clients import OWN_CLIENT, Work
from nbd_client import Session
from peers import Hotbay, nbdkit
from report import Contestant, Row

ABSENT, PRESENT, PLAIN, COW = "hotbay absent", "hotbay present", "nbdkit", "nbdkit cow"
BARE = "bare append + fdatasync QD1"
PAUSE_LOAD = Work("randwrite", "4k", 8, client=OWN_CLIENT)
PAUSE_MS_MAX, PAUSE_MS_AMBITION = 10, 2
WRITEBACK = "the page cache of the disk, and its writeback"
ALIKE = ("hotbay begins each round with an empty journal, and nbdkit's cow filter with an empty file; the others "
         "overwrite what is in the page cache. hotbay present syncs each 64 MiB; neither nbdkit ever does")


@contextlib.contextmanager
def absent_and_peers(bench):
    """A hotbay without its medium; beside it hotbay with its medium, nbdkit, and nbdkit that keeps writes aside."""
    with contextlib.ExitStack() as stack:
        names = ("absent", "present", "nbdkit", "cow")
        images = {name: bench.image(bench.disk, name) for name in names}
        for image in images.values():
            stack.callback(image.unlink, missing_ok=True)
        servers = (Hotbay(bench.hotbay, images["absent"], bench.disk, ABSENT),
                   Hotbay(bench.hotbay, images["present"], bench.disk, PRESENT),
                   nbdkit(images["nbdkit"], bench.disk, PLAIN),
                   nbdkit(images["cow"], bench.disk, COW, filters=("cow",)))
        yield [stack.enter_context(server) for server in servers]


def absent_writes(bench):
    rows = [("absent 4k write QD32, disk", Work("randwrite", "4k", 32, client=OWN_CLIENT),
             (goals.rate(0.8, against=PRESENT), goals.rate(1.5, against=COW))),
            ("absent 1M write QD4, disk", Work("write", "1M", 4),
             (goals.rate(0.7, against=PRESENT), goals.rate(1.3, against=COW)))]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    bench.warm_memory()
    with absent_and_peers(bench) as servers:
        absent, cow = servers[0], servers[3]

        def emptied(server):
            if server is absent:
                absent.empty_journal()
            elif server is cow:
                present.restarted(cow)
            loads.settle()

        for name, work, wanted in rows:
            contestants = [bench.contestant(server, work, server.label != PRESENT,
                                            functools.partial(emptied, server)) for server in servers]
            absent.eject()
            bench.measure(Row(name, work.unit, contestants, WRITEBACK, bench.scale.rounds, wanted, work.client,
                              note=ALIKE))


def absent_reads(bench):
    rows = [("absent 4k read QD32, disk", Work("randread", "4k", 32, client=OWN_CLIENT), ()),
            ("absent 1M read QD4, disk", Work("read", "1M", 4), (goals.rate(1.5),))]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    with absent_and_peers(bench) as servers:
        servers[0].eject()
        loads.fill(servers[0])
        loads.fill(servers[3])
        loads.settle()
        note = "All of it is in the page cache, of the journal, the medium and nbdkit's file aside alike"
        for name, work, wanted in rows:
            contestants = [bench.contestant(s, work, s.label != PRESENT) for s in servers]
            bench.measure(Row(name, work.unit, contestants, "waking the other process up", bench.scale.rounds, wanted,
                              work.client, note=note))


def stable_writes(bench):
    rows = [("absent 4k write + FUA QD1, disk", 1, (goals.rate(0.8, against=BARE),)),
            ("absent 4k write + FUA QD16, disk", 16, (goals.rate(0.8, against=BARE), goals.rate(3, against=BARE)))]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    with absent_and_peers(bench) as (absent, beside, plain, _):
        absent.eject()
        for name, depth, wanted in rows:
            # From the middle on: the first MiB is where a disk's identity lies, which is watched.
            work = Work("write", "4k", depth, client=OWN_CLIENT, fua=True, offset_mib=bench.scale.image_mib // 2)
            contestants = [bench.contestant(s, work, s.label != PRESENT, loads.settle) for s in (absent, beside, plain)]
            contestants.append(Contestant(BARE, functools.partial(loads.bare_appends, bench.disk / "bare",
                                                                  bench.scale.seconds), peer=False))
            note = "A write is answered after a sync of the journal, of the medium's file, or of the appended file"
            bench.measure(Row(name, "IOPS", contestants, "the disk's sync", bench.scale.rounds, wanted, work.client,
                              note=note))
        (bench.disk / "bare").unlink(missing_ok=True)


def replay(bench):
    size = bench.scale.copied
    sequential = f"replay of {size}, sequential, disk"
    random = f"replay of {size}, random 4k, disk"
    if not bench.wants(sequential, random):
        return
    bench.warm_memory()
    mib = bench.scale.copy_mib
    source, target = bench.image(bench.disk, "source", mib), bench.image(bench.disk, "target", 2 * mib)
    medium = bench.image(bench.disk, "medium", 2 * mib)
    dd = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=notrunc,fsync", "status=none"]
    with Hotbay(bench.hotbay, medium, bench.disk, journal_mib=4 * mib + 512) as hotbay:

        def replayed(**filling):
            hotbay.empty_journal()
            loads.fill(hotbay, **filling)
            return loads.commanded(hotbay, mib, hotbay.insert)

        for name, filling, label, peer in (
                (sequential, {"size_mib": mib}, "dd conv=fsync", functools.partial(loads.program, dd, mib)),
                (random, {"pattern": "randwrite", "block": "4k", "size_mib": 2 * mib, "alignment": "8k"},
                 "sorted pwrite loop", functools.partial(loads.sorted_writes, target, 2 * mib, mib))):
            contestants = [Contestant(hotbay.label, functools.partial(replayed, **filling)), Contestant(label, peer)]
            bench.measure(Row(name, "MB/s", contestants, "the disk", bench.scale.copy_rounds, (goals.rate(0.8),)))
    for image in (source, target, medium):
        image.unlink()


def swap(bench):
    for place, directory in (("tmpfs", bench.memory), ("disk", bench.disk)):
        name = f"swap's copy of {bench.scale.copied}, {place}"
        if bench.wants(name):
            bench.warm_memory()
            swap_in(bench, name, directory, "the memory" if place == "tmpfs" else "the disk")


def swap_in(bench, name, directory, waits_for):
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
            try:
                return loads.program(["nbdcopy", "--flush", origin, copy], mib)
            finally:
                copy.unlink(missing_ok=True)

        contestants = [Contestant(hotbay.label, swapped),
                       Contestant("nbdcopy, file to file", functools.partial(copied, here)),
                       Contestant("nbdcopy, nbdkit to file", functools.partial(copied, server.address.uri))]
        bench.measure(Row(name, "MB/s", contestants, waits_for, bench.scale.copy_rounds,
                          (goals.rate(0.8, against="nbdcopy, file to file"),)))
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
            loads.settle()
            return loads.disturbed(bench.hotbay, hotbay, PAUSE_LOAD, bench.scale.seconds / 2, act)

        for event, before, act in (("nothing happens", hotbay.insert, lambda: None),
                                   ("a pull", hotbay.insert, lambda: hotbay.run("pull", "a")),
                                   ("a replay's end", hotbay.empty_journal, hotbay.insert),
                                   ("a swap", hotbay.insert, exchange)):
            contestants = [Contestant(hotbay.label, functools.partial(disturbed, before, act))]
            wanted = goals.at_most("max_ms", PAUSE_MS_MAX, PAUSE_MS_AMBITION)
            bench.measure(Row(events[event], "IOPS", contestants, WRITEBACK, bench.scale.rounds,
                              () if event == "nothing happens" else (wanted,), PAUSE_LOAD.client))
    for image in media:
        image.unlink(missing_ok=True)


SECTIONS = (absent_writes, absent_reads, stable_writes, replay, swap, pauses)
