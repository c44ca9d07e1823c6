"""Where the rows are measured: the directories, the scale, and the three servers side by side."""

import contextlib
import dataclasses
import functools

import loads
from peers import Failed, Hotbay, free_port, nbdkit, qemu_nbd
from report import Contestant


@dataclasses.dataclass
class Scale:
    """How long, how often, how large."""

    rounds: int
    seconds: float
    warm_seconds: float
    image_mib: int
    copy_mib: int
    extents: int
    warms_memory: bool
    sparse_gib: int = 1024

    @property
    def copy_rounds(self):
        return min(self.rounds, 3)

    @property
    def copied(self):
        return f"{self.copy_mib // 1024} GiB" if self.copy_mib >= 1024 else f"{self.copy_mib} MiB"


@dataclasses.dataclass
class Bench:
    """Where it runs, with what, and the rows that come out."""

    hotbay: str
    memory: object
    disk: object
    scale: Scale
    report: object

    def wants(self, *names):
        return any(self.report.wants(name) for name in names)

    def run(self, sections):
        """Every section; one that fails is reported, and the next one comes."""
        for section in sections:
            try:
                section(self)
            except Failed as failure:
                self.report.failures.append(f"{section.__name__.replace('_', ' ')}: {failure}")

    def warm_memory(self):
        if self.scale.warms_memory:
            loads.use_all_memory()

    def measure(self, row):
        if self.wants(row.name):
            self.report.measure(row)

    def image(self, directory, name, mib=None):
        return loads.image(directory / f"{name}.img", mib or self.scale.image_mib)

    def contestant(self, server, work, peer=True, prepare=None, cold=False):
        """A server under this work; warmed up once unless it is to be cold."""
        load = functools.partial(loads.served, self.hotbay, server, work)
        return Contestant(server.label, functools.partial(load, self.scale.seconds, prepare=prepare, cold=cold),
                          None if cold else functools.partial(load, self.scale.warm_seconds), peer)


@contextlib.contextmanager
def three(bench, directory, sessions=8, tcp=False, mib=None, settings=""):
    """hotbay, nbdkit and qemu-nbd on one image, which is gone afterwards.

    On one, because where an image's pages lie in memory makes a difference of up to 1.7 between runs of one binary.
    Only one server works at a time, and none keeps anything of the image but in the page cache.
    """
    with contextlib.ExitStack() as stack:
        image = bench.image(directory, "image", mib)
        stack.callback(image.unlink, missing_ok=True)
        ports = [free_port() if tcp else None for _ in range(3)]
        servers = (Hotbay(bench.hotbay, image, bench.disk, port=ports[0], settings=settings),
                   nbdkit(image, bench.disk, port=ports[1]),
                   qemu_nbd(image, bench.disk, port=ports[2], sessions=sessions))
        yield [stack.enter_context(server) for server in servers]
