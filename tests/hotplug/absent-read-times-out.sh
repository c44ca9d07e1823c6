#!/usr/bin/env bash
# Nobody waits for ever: after absent_wait a read ends with an I/O error, and the session lives on.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
cat >short.toml <<'EOF'
[[volume]]
name = "a"
medium = "a.img"
absent_reads = "wait"
absent_wait = "500ms"
EOF
start_hotbay short.toml
hotbay eject a
fill a 0x22 0 1M

timeout "$patience" nbdsh -u "$(uri a)" -c '
import errno
try:
    h.pread(4096, 8 << 20)
    raise SystemExit("a read of a medium that is away was answered")
except nbd.Error as error:
    assert error.errnum == errno.EIO, error
assert h.pread(4096, 0) == b"\x22" * 4096
h.pwrite(b"\x33" * 4096, 8 << 20)
assert h.pread(4096, 8 << 20) == b"\x33" * 4096'

hotbay insert a
holds a 0x33 8M 4k
