"""The smallest NBD client: whether a server is up, and a thousand idle sessions. Fixed newstyle handshake, GO."""

import dataclasses
import socket
import struct

OPTION_GO = 7
REPLY_ACK, REPLY_INFO, REPLY_ERROR = 1, 3, 1 << 31
OPTION_MAGIC = 0x49484156454F5054
REQUEST = struct.Struct(">IHHQQI")
DISCONNECT = 2
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
