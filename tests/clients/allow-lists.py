#!/usr/bin/python3
"""Who may open what: by certificate, by user on a Unix socket; to others an export is not there, by whichever option they ask. And
what an export is presented as: read-only, rotational, with a description."""

import os
import pathlib
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import HOTBAY, Daemon
from wire import *

NOBODY = 65534
ROTATIONAL, READ_ONLY, SEND_FUA, SEND_TRIM, SEND_ZEROES = 1 << 4, 1 << 1, 1 << 3, 1 << 5, 1 << 6
CONFIG = """
allow = ["certificate:laptop"]
{layout}
[tls]
mode = "offered"
certificate = "tls/server-cert.pem"
key = "tls/server-key.pem"
client_ca = "tls/ca-cert.pem"
client_certificate = "optional"

[[volume]]
name = "first"
medium = "mem:1MiB"

[[volume]]
name = "of-nobody"
medium = "mem:1MiB"
allow = ["user:65534"]

[[volume]]
name = "public"
medium = "mem:1MiB"
allow = ["everyone"]
read_only = true
rotational = true
description = "for all to read"

[[volume]]
name = "closed"
medium = "mem:1MiB"
allow = []
"""
ALL = {"first", "of-nobody", "public", "closed"}


class Server(Daemon):
    def __init__(self, layout=""):
        super().__init__(CONFIG.format(layout=layout), self.prepare)

    def prepare(self, directory):
        def tls(*words):
            subprocess.run([HOTBAY, "tls", *words], check=True, stdout=subprocess.DEVNULL, cwd=directory)
        tls("make", "tls")
        tls("client", "tls", "laptop", "laptop")

    def start(self):
        super().start("--listen", "tcp:127.0.0.1:0")
        self.place = self.tcp_place()

    def context(self, name):
        context = ssl.create_default_context(cafile=self.directory / "tls" / "ca-cert.pem")
        if name:
            directory = self.directory / name
            context.load_cert_chain(directory / "client-cert.pem", directory / "client-key.pem")
        return context


def listed(wire):
    replies = wire.option(LIST)
    assert replies[-1][0] == REP_ACK
    return {data[4:4 + struct.unpack(">I", data[:4])[0]].decode() for kind, data in replies[:-1]}


def may_open(connect, expected):
    """A client sees these in its list, can open these, and cannot tell the others from what is not there."""
    assert listed(connect()) == expected & ALL, (listed(connect()), expected)
    for name in ALL | {"none", ""}:
        for option in (INFO, GO):
            wire = connect()
            told = wire.option(option, text(name) + struct.pack(">H", 0))
            allowed = name in expected or name == "" and "first" in expected
            assert (told[-1][0] == REP_ACK) == allowed, (name, expected)
            if not allowed and name:
                assert told == [(ERR_UNKNOWN, f'there is no export "{name}" (LIST names those that are)'.encode())]
        wire = connect().speak(STRUCTURED)
        for option in (LIST_META_CONTEXT, SET_META_CONTEXT):
            found = wire.contexts(option, "base:allocation", export=name)
            assert (found != ERR_UNKNOWN) == allowed, (name, option)
        wire = connect()
        wire.send(struct.pack(">QII", IHAVEOPT, EXPORT_NAME, len(name)) + name.encode())
        assert (wire.take_all(10) != b"") == allowed, name


def as_nobody(directory, check):
    """Runs a check in a process of another user, who is in the directory, wherever that is."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(directory)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            check()
            os._exit(0)
        except BaseException as failure:
            print("as nobody:", repr(failure), file=sys.stderr)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


with Server() as server:
    # over TCP: nobody knows who it is, but for a certificate
    may_open(lambda: Wire(server.place), {"public"})
    may_open(lambda: Wire(server.place).start_tls(server.context(None)), {"public"})
    may_open(lambda: Wire(server.place).start_tls(server.context("tls")), {"public"})
    may_open(lambda: Wire(server.place).start_tls(server.context("laptop")), {"public", "first"})
    # the daemon's own user, on the Unix socket
    may_open(lambda: Wire(server.socket), ALL)
    if os.geteuid() == 0:
        # another user, where the operator lets them reach the socket
        os.chmod(server.directory, 0o755)
        os.chmod(server.socket, 0o666)
        laptop = server.context("laptop")
        as_nobody(server.directory, lambda: may_open(lambda: Wire("nbd.sock"), {"public", "of-nobody"}))
        as_nobody(server.directory,
                  lambda: may_open(lambda: Wire("nbd.sock").start_tls(laptop), {"public", "of-nobody", "first"}))

    # what is read-only cannot be changed, whoever asks
    for dialect in (SIMPLE, STRUCTURED, EXTENDED):
        wire = Wire(server.socket).speak(dialect)
        _, flags = wire.go("public")
        assert flags & READ_ONLY and flags & ROTATIONAL and not flags & (SEND_FUA | SEND_TRIM | SEND_ZEROES)
        assert wire.write(0, b"x") == EPERM
        assert wire.ask(WRITE_ZEROES, 0, 512).error == EPERM
        assert wire.ask(TRIM, 0, 512).error == EPERM
        assert wire.read(0, 512) == bytes(512)
        assert not Wire(server.socket).go("first")[1] & (READ_ONLY | ROTATIONAL)
    wire = Wire(server.socket)
    replies = wire.option(INFO, text("public") + struct.pack(">HH", 1, 2))
    (about,) = [data for kind, data in replies if kind == REP_INFO and data[:2] == b"\0\2"]
    assert about[2:].startswith(b"for all to read, volume public, 1MiB, id "), about
    # a volume that is added later has the drive's terms
    server.run("volume", "add", "later=later.img?create=1MiB")
    assert "later" in listed(Wire(server.place).start_tls(server.context("laptop")))
    assert "later" not in listed(Wire(server.place))
    server.stop()

# one disk of several volumes: whoever may open each of them; read-only where one of them is
with Server('layout = "linear"') as server:
    for connect in (lambda: Wire(server.place), lambda: Wire(server.place).start_tls(server.context("laptop"))):
        assert listed(connect()) == set()
        assert connect().outcome(GO, text("hotbay") + struct.pack(">H", 0)) == ERR_UNKNOWN
    assert listed(Wire(server.socket)) == {"hotbay"}
    wire = Wire(server.socket)
    size, flags = wire.go("hotbay")
    assert size == 4 << 20 and flags & READ_ONLY and wire.write(0, b"x") == EPERM
    server.stop()
