"""The smallest NBD client that the bench needs where fio will not do: FUA, and a thousand idle sessions.

Fixed newstyle handshake, GO, simple replies; one thread, one socket, requests in flight up to a depth.
"""

import dataclasses
import socket
import struct
import time

OPTION_GO = 7
REPLY_ACK, REPLY_INFO, REPLY_ERROR = 1, 3, 1 << 31
OPTION_MAGIC = 0x49484156454F5054
REPLY_MAGIC = 0x67446698
REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
WRITE, DISCONNECT = 1, 2
FUA = 1
PATIENCE_SECONDS = 60


class ProtocolError(Exception):
    """The server said something that it may not say, or answered with an error."""


@dataclasses.dataclass(frozen=True)
class Address:
    """Where an export is served: a Unix socket, or a TCP port of this machine."""

    export: str
    unix: str | None = None
    port: int | None = None

    @property
    def uri(self):
        if self.unix:
            return f"nbd+unix:///{self.export}?socket={self.unix}"
        return f"nbd://127.0.0.1:{self.port}/{self.export}"

    def connect(self):
        if self.unix:
            connection = socket.socket(socket.AF_UNIX)
            target = self.unix
        else:
            connection = socket.socket(socket.AF_INET)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target = ("127.0.0.1", self.port)
        connection.settimeout(PATIENCE_SECONDS)
        try:
            connection.connect(target)
        except OSError:
            connection.close()
            raise
        return connection


class Session:
    """One connection in the transmission phase; use with `with`."""

    def __init__(self, address):
        self.socket = address.connect()
        try:
            self.size = self._negotiate(address.export.encode())
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.sendall(REQUEST.pack(0x25609513, 0, DISCONNECT, 0, 0, 0))
        except OSError:
            pass
        self.socket.close()

    def _negotiate(self, export):
        magic, option_magic, _flags = struct.unpack(">8sQH", self._receive(18))
        if magic != b"NBDMAGIC" or option_magic != OPTION_MAGIC:
            raise ProtocolError("not a newstyle server")
        data = struct.pack(">I", len(export)) + export + struct.pack(">H", 0)
        self.socket.sendall(struct.pack(">I", 3) + struct.pack(">QII", OPTION_MAGIC, OPTION_GO, len(data)) + data)
        size = None
        while True:
            _, _, kind, length = struct.unpack(">QIII", self._receive(20))
            payload = self._receive(length)
            if kind == REPLY_ACK:
                return size
            if kind & REPLY_ERROR:
                raise ProtocolError(f"GO was refused: {payload.decode(errors='replace')}")
            if kind == REPLY_INFO and payload[:2] == b"\0\0":
                size = struct.unpack(">Q", payload[2:10])[0]

    def _receive(self, length):
        data = bytearray()
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise ProtocolError("the server closed the connection")
            data += part
        return bytes(data)

    def stable_writes(self, seconds, depth, block=4096):
        """Writes block after block, each with FUA, `depth` in flight. Gives each one's latency in µs.

        It begins in the middle: the first MiB is where a disk's identity lies, which is watched.
        """
        payload = b"\xa5" * block
        sent_at, latencies, cookie = {}, [], 0
        end = time.monotonic() + seconds
        while sent_at or time.monotonic() < end:
            while len(sent_at) < depth and time.monotonic() < end:
                offset = (self.size // 2 + cookie * block) % self.size
                header = REQUEST.pack(0x25609513, FUA, WRITE, cookie, offset, block)
                sent_at[cookie] = time.perf_counter()
                self.socket.sendall(header + payload)
                cookie += 1
            if not sent_at:
                break
            magic, error, answered = REPLY.unpack(self._receive(REPLY.size))
            if magic != REPLY_MAGIC or error:
                raise ProtocolError(f"a write was answered with error {error}")
            latencies.append((time.perf_counter() - sent_at.pop(answered)) * 1e6)
        return latencies
