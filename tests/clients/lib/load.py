"""A load that knows what every byte of a volume must be.

Several connections send writes, zeroes, trims, flushes and reads, many at once, chosen by a seeded
generator. A model in memory follows every acknowledgement. No two requests in flight overlap, so
the model has one answer for every byte at every moment:

- a write that was answered is in the model, flushed or not;
- a request that was not answered because its connection broke is sent again on a new one;
- a trimmed range may hold anything, so the load writes over it before it lets go of it;
- any error other than a broken connection ends the load with a message.

Writers read back only what they wrote since the last `removal`, so they never have to wait for a
medium that is away. Readers read anywhere, and may wait.

Run as a program it is driven over its standard input: see `drive_by_lines` at the end.
"""

import argparse
import contextlib
import errno
import os
import random
import sys
import threading

import nbd

MIB = 1 << 20
PATIENCE_SECONDS = 60
BROKEN_CONNECTION = (errno.ENOTCONN, errno.ESHUTDOWN)


class Wrong(Exception):
    """The volume did something that a disk may not do."""


class Rooms:
    """Memory for the data of requests, used again and again: libnbd 1.14 never lets go of what its
    `aio_pread` and `aio_pwrite` were given, and a long load would take all the machine has."""

    SIZE = MIB

    def __init__(self):
        self._free = []

    def take(self, length):
        try:
            room = self._free.pop()
        except IndexError:
            room = bytearray(self.SIZE)
        return memoryview(room)[:length]

    def give_back(self, room):
        self._free.append(room.obj)


ROOMS = Rooms()


class Request:
    """One request, kept until it is answered: it may have to be sent more than once."""

    def __init__(self, kind, offset=0, length=0, data=None, flags=0, then=None):
        self.kind, self.offset, self.length = kind, offset, length
        self.data, self.flags, self.then = data, flags, then
        self.error = None
        self.room = None

    def __str__(self):
        return f"{self.kind} of {self.length} bytes at {self.offset}"

    def submit(self, handle):
        self.error = None

        def answered(error):
            self.error = error.value
            return 1

        if self.kind == "write":
            self.room = ROOMS.take(self.length)
            self.room[:] = self.data
            handle.aio_pwrite(self.room, self.offset, answered, self.flags)
        elif self.kind == "read":
            self.room = ROOMS.take(self.length)
            handle.aio_pread(self.room, self.offset, answered)
        elif self.kind == "zeroes":
            handle.aio_zero(self.length, self.offset, answered, self.flags)
        elif self.kind == "trim":
            handle.aio_trim(self.length, self.offset, answered, self.flags)
        elif self.kind == "flush":
            handle.aio_flush(answered)

    def leave_room(self):
        """To be called when the request is answered, or its connection is broken for good."""
        if self.room:
            ROOMS.give_back(self.room)
            self.room = None


class Ranges:
    """The byte ranges in use by requests in flight; nothing in it overlaps."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held = set()

    def take(self, offset, length):
        end = offset + length
        with self._lock:
            if any(offset < e and s < end for s, e in self._held):
                return False
            self._held.add((offset, end))
            return True

    def give_back(self, offset, length):
        with self._lock:
            self._held.remove((offset, offset + length))


class Load:
    def __init__(self, uri, seed=1, writers=3, readers=1, read_back=True, syncs=True, within=()):
        self.uri, self.seed = uri, seed
        self.writers, self.readers = writers, readers
        self.read_back, self.syncs = read_back, syncs
        with session(uri) as handle:
            self.size = handle.get_size()
            self.unit = max(1, handle.get_block_size(nbd.SIZE_MINIMUM))
            self.model = bytearray(read_all(handle, self.size))
        self.parts = list(within) or [(0, self.size)]  # (offset, length) of what is its own
        self.reachable = threading.Event()
        self.reachable.set()
        self.reconnections = 0
        self._ranges = Ranges()
        self._changed = threading.Condition()
        self._acknowledged = 0
        self._recent = []
        self._recent_reads = 0
        self._epoch = object()  # of what is recent; none while a medium goes
        self._stopping = False
        self._failure = None
        self._threads = []

    # What a test calls.

    def start(self):
        roles = [self._write_batch] * self.writers + [self._read_batch] * self.readers
        for number, role in enumerate(roles):
            rng = random.Random(f"{self.seed}/{number}")
            self._threads.append(threading.Thread(target=self._work, args=(role, rng), daemon=True))
            self._threads[-1].start()
        return self

    def go_on(self, count):
        """Returns when the writers got `count` more answers."""
        with self._changed:
            goal = self._acknowledged + count
            self._await(lambda: self._acknowledged >= goal, f"{count} more answers")

    @contextlib.contextmanager
    def removal(self):
        """The medium goes inside the block: from its end on writers read back only what they begin
        to write after it, for that is in the journal."""
        with self._changed:
            self._epoch = None
            self._recent.clear()
            self._await(lambda: self._recent_reads == 0, "the reads in flight")
        yield
        with self._changed:
            self._epoch = object()

    @contextlib.contextmanager
    def outage(self):
        """The server is down inside the block: connections wait for its end before they come back."""
        self.reachable.clear()
        yield
        self.reachable.set()

    def finish(self):
        """Stops, flushes, and compares every byte through a new connection."""
        self._stopping = True
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            if thread.is_alive():
                raise Wrong(f"seed {self.seed}: a request was never answered")
        self._raise_failure()
        with session(self.uri) as handle:
            handle.flush()
            self.compare(read_all(handle, self.size), "read through NBD")

    def compare(self, found, where):
        if found != self.model:
            at = next(i for i, (f, m) in enumerate(zip(found, self.model)) if f != m)
            wrong = sum(f != m for f, m in zip(found, self.model))
            raise Wrong(f"seed {self.seed}: {where}: {wrong} bytes differ, the first at {at}: "
                        f"{found[at]:#04x}, not {self.model[at]:#04x}")

    # The threads.

    def _await(self, condition, what):
        arrived = self._changed.wait_for(lambda: self._failure or condition(), PATIENCE_SECONDS)
        self._raise_failure()
        if not arrived:
            raise Wrong(f"seed {self.seed}: waited {PATIENCE_SECONDS} s for {what}")

    def _raise_failure(self):
        if self._failure:
            raise Wrong(f"seed {self.seed}: {self._failure}")

    def _work(self, role, rng):
        handle = None
        try:
            handle = connect(self.uri)
            while not (self._stopping or self._failure):
                handle = role(handle, rng)
        except Exception as failure:  # a thread's failure belongs to the test that waits for it
            with self._changed:
                self._failure = self._failure or f"{type(failure).__name__}: {failure}"
                self._changed.notify_all()
        finally:
            if handle and handle.aio_is_ready():
                handle.shutdown()

    def _write_batch(self, handle, rng):
        epoch = self._epoch
        with contextlib.ExitStack() as held:
            batch = [self._plan(held, rng) for _ in range(rng.randint(1, 8))]
            batch = [request for request in batch if request]
            handle = self._carry_out(handle, batch)
        with self._changed:
            if epoch and epoch is self._epoch:
                self._recent += [(r.offset, r.length) for r in batch if r.kind in ("write", "zeroes")]
                del self._recent[:-64]
            self._acknowledged += len(batch)
            self._changed.notify_all()
        return handle

    def _read_batch(self, handle, rng):
        with contextlib.ExitStack() as held:
            places = [self._place(held, rng) for _ in range(rng.randint(1, 4))]
            return self._carry_out(handle, [Request("read", *place) for place in places if place])

    def _plan(self, held, rng):
        kind = rng.choices(["write", "zeroes", "trim", "recent", "flush"], [60, 10, 8, 15, 7])[0]
        if kind == "flush":
            return Request("flush") if self.syncs else None
        if kind == "recent":
            return self._plan_recent(held, rng)
        place = self._place(held, rng)
        if not place:
            return None
        offset, length = place
        flags = nbd.CMD_FLAG_FUA if self.syncs and rng.random() < 0.1 else 0
        if kind == "zeroes":
            return Request("zeroes", offset, length, flags=flags)
        write = Request("write", offset, length, data=rng.randbytes(length), flags=flags)
        return Request("trim", offset, length, then=write) if kind == "trim" else write

    def _plan_recent(self, held, rng):
        with self._changed:
            if not (self.read_back and self._recent):
                return None
            offset, length = rng.choice(self._recent)
            if not self._ranges.take(offset, length):
                return None
            self._recent_reads += 1
        held.callback(self._recent_read_done)
        held.callback(self._ranges.give_back, offset, length)
        return Request("read", offset, length)

    def _recent_read_done(self):
        with self._changed:
            self._recent_reads -= 1
            self._changed.notify_all()

    def _place(self, held, rng):
        """A free range: mostly whole 4 KiB blocks, sometimes as odd as the export allows."""
        start, size = rng.choice(self.parts) if len(self.parts) > 1 else self.parts[0]
        unit = self.unit if rng.random() < 0.2 else max(self.unit, 4096)
        longest = MIB if rng.random() < 0.03 else 64 * 1024
        length = rng.randint(1, longest // unit) * unit
        offset = start + rng.randint(0, (size - length) // unit) * unit
        if not self._ranges.take(offset, length):
            return None
        held.callback(self._ranges.give_back, offset, length)
        return offset, length

    def _carry_out(self, handle, batch):
        """Sends the batch until every request in it is answered; returns the connection in use."""
        pending = batch
        while pending:
            send_and_wait(handle, pending)
            unanswered = []
            for request in pending:
                if request.error is None or request.error in BROKEN_CONNECTION:
                    unanswered.append(request)
                elif request.error:
                    raise Wrong(f"{request} was answered {errno.errorcode[request.error]}")
                elif request.then:
                    unanswered.append(request.then)
                else:
                    self._answered(request)
                request.leave_room()
            if handle.aio_is_dead() or handle.aio_is_closed():
                handle = self._reconnect()
            pending = unanswered
        return handle

    def _answered(self, request):
        span = slice(request.offset, request.offset + request.length)
        if request.kind == "write":
            self.model[span] = request.data
        elif request.kind == "zeroes":
            self.model[span] = bytes(request.length)
        elif request.kind == "read" and bytes(request.room) != self.model[span]:
            raise Wrong(f"{request} returned bytes that were never there or are gone")

    def _reconnect(self):
        if not self.reachable.wait(PATIENCE_SECONDS):
            raise Wrong("the server did not come back")
        with self._changed:
            self.reconnections += 1
        return connect(self.uri)


def connect(uri):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    return handle


@contextlib.contextmanager
def session(uri):
    handle = connect(uri)
    yield handle
    handle.shutdown()


def send_and_wait(handle, requests):
    """Returns when all are answered or the connection is broken; each says for itself which."""
    try:
        for request in requests:
            request.submit(handle)
        while any(request.error is None for request in requests):
            handle.poll(-1)
    except nbd.Error:
        if not (handle.aio_is_dead() or handle.aio_is_closed()):
            raise


def read_all(handle, size):
    return b"".join(handle.pread(min(MIB, size - at), at) for at in range(0, size, MIB))


def drive_by_lines(load, expected):
    """`go N` answers when N more requests are done, `stop` compares all and saves the model. From `down` to `up` broken connections
    wait before they come back."""
    print("ready", flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "go":
            load.go_on(int(rest[0]))
        elif word == "down":
            load.reachable.clear()
        elif word == "up":
            load.reachable.set()
        elif word == "stop":
            load.finish()
            with open(expected, "wb") as file:
                file.write(load.model)
        print("done", flush=True)
        if word == "stop":
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes to a volume until told to stop.")
    parser.add_argument("uri")
    parser.add_argument("expected", help="where to save what the volume must hold in the end")
    parser.add_argument("--readers", type=int, default=0, help="read and compare meanwhile as well: for what never has to be waited for")
    parser.add_argument("--within", type=lambda text: tuple(map(int, text.split("+"))), action="append", default=[],
                        metavar="OFFSET+LENGTH", help="write and read there alone; may be given more than once")
    arguments = parser.parse_args()
    seed = os.environ.get("HOTBAY_SEED", "1")
    try:
        readers = arguments.readers
        load = Load(arguments.uri, seed, readers=readers, read_back=readers > 0, within=arguments.within)
        drive_by_lines(load.start(), arguments.expected)
    except (Wrong, nbd.Error) as failure:
        sys.exit(f"load: {failure}")
