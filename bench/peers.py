"""The servers that are compared: hotbay, nbdkit, qemu-nbd; started, looked at, ended.

Each is an ordinary process of ours, in a session of its own so that Ctrl-C comes to the bench alone, and is
ended by its pid.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from nbd_client import Address, ProtocolError, Session

START_SECONDS = 120
STOP_SECONDS = 60
MIB = 1 << 20


class Failed(Exception):
    """What was to be measured could not be."""


class Server:
    """A process that serves one image. `with` ends it."""

    def __init__(self, label, command, address, directory, environment=None):
        self.label, self.command, self.address = label, command, address
        self.log = directory / f"{label.replace(' ', '-')}-{time.monotonic_ns()}.log"
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Starts it; gives the seconds until a client came through the handshake."""
        begin = time.perf_counter()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment, start_new_session=True)
        while True:
            try:
                Session(self.address).close()
                return time.perf_counter() - begin
            except (OSError, ProtocolError) as error:
                if self.process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
                    raise Failed(f"{self.label} did not come up: {error}; {self.last_words()}") from error
                time.sleep(0.001)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self):
        """As a crash would: kill -9."""
        self.process.kill()
        self.process.wait()

    def last_words(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return " | ".join(lines[-5:]) or "it said nothing"

    def cpu_ns(self):
        """The processor time of all its threads, those that have ended included, user and system.

        This is the process's CPU clock, as clock_getcpuclockid(3) names it: nanoseconds, not clock ticks.
        """
        return time.clock_gettime_ns((~self.process.pid << 3) | 2)

    def disk_read_bytes(self):
        """What it caused to be read from a disk, by the kernel's count."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("read_bytes:")).split()[1])

    def forget_peak(self):
        """Lets the peak of its memory begin anew."""
        try:
            with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass

    def peak_rss_mib(self):
        return self._memory("VmHWM")

    def rss_mib(self):
        return self._memory("VmRSS")

    def own_mib(self):
        """Memory that is its own: without the files that it maps."""
        return self._memory("RssAnon")

    def _memory(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith(key + ":"))
        return int(line.split()[1]) / 1024


class Hotbay(Server):
    """A daemon with one volume `a`, its journal on disk, driven by the command line as people do.

    `settings` are lines for the top of its configuration.
    """

    def __init__(self, binary, image, directory, label="hotbay", port=None, journal_mib=4096, settings=""):
        home = directory / f"{label.replace(' ', '-')}-{time.monotonic_ns()}"
        home.mkdir()
        unix, control = str(home / "nbd.sock"), str(home / "control.sock")
        listen = f"tcp:127.0.0.1:{port}" if port else f"unix:{unix}"
        (home / "hotbay.toml").write_text(
            f'{settings}\nlisten = ["{listen}"]\ncontrol = "{control}"\nstate = "{home / "state"}"\n'
            f'[[volume]]\nname = "a"\nmedium = "file:{image}"\nabsent_wait = "60s"\n'
            f'journal_limit = "{journal_mib}MiB"\nauto_insert = false\n')
        self.binary, self.control, self.said, self.home = binary, control, "", home
        address = Address("a", port=port) if port else Address("a", unix=unix)
        command = [binary, "serve", str(home / "hotbay.toml")]
        super().__init__(label, command, address, directory, {"HOTBAY_LOG": "warn"})

    def __exit__(self, *exception):
        """With its journal: journals of gigabytes are not kept until the end of the run."""
        super().__exit__(*exception)
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *words):
        """A command for the daemon, to its end; gives the seconds it took."""
        begin = time.perf_counter()
        done = subprocess.run([self.binary, *map(str, words), "--control", self.control], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            raise Failed(f"hotbay {' '.join(map(str, words))}: {done.stderr.strip()}")
        seconds = time.perf_counter() - begin
        self.said = done.stdout
        return seconds

    def status(self):
        self.run("status", "--json")
        return json.loads(self.said)["volumes"][0]

    def state(self):
        return self.status()["state"]

    def eject(self):
        if self.state() != "absent":
            self.run("eject", "a")

    def insert(self):
        """Puts the medium in, if it is not; gives the seconds until the journal is replayed and let go of."""
        seconds = self.run("insert", "a") if self.state() == "absent" else 0.0
        return seconds + self.run("wait", "a", "present", "--timeout", "240s")

    def empty_journal(self):
        """Absent, with nothing in the journal."""
        self.insert()
        self.eject()


def nbdkit(image, directory, label="nbdkit", port=None, filters=()):
    place, address = _place(directory, port)
    where = ["-i", "127.0.0.1", "-p", str(port)] if port else ["-U", place]
    command = ["nbdkit", "-f", *where, *(f"--filter={name}" for name in filters), "file", str(image)]
    return Server(label, command, address, directory, {"TMPDIR": str(directory)})


def qemu_nbd(image, directory, label="qemu-nbd", port=None, sessions=8):
    place, address = _place(directory, port)
    where = ["-b", "127.0.0.1", "-p", str(port)] if port else ["-k", place]
    command = ["qemu-nbd", "-f", "raw", "-t", "-e", str(sessions), *where, "--aio=io_uring", str(image)]
    return Server(label, command, address, directory)


def _place(directory, port):
    place = str(directory / f"{time.monotonic_ns()}.sock")
    return place, Address("", port=port) if port else Address("", unix=place)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
