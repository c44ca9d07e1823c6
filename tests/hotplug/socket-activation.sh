#!/usr/bin/env bash
# The daemon on sockets that somebody else listens on, as systemd does: nobody loses a connection that was made before it was there, and
# the sockets are not its to remove.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
cat >activator.py <<'ACTIVATOR'
"""Listens, says so, and becomes the daemon when somebody connects; its arguments are the daemon's."""
import os, select, socket, sys
sockets = [socket.socket(socket.AF_UNIX), socket.socket()]
os.path.exists("given.sock") and os.unlink("given.sock")
sockets[0].bind("given.sock")
sockets[1].bind(("127.0.0.1", 0))
for each in sockets:
    each.listen(16)
with open("port", "w") as file:
    file.write(str(sockets[1].getsockname()[1]))
os.rename("port", "ready")
select.select(sockets, [], [])
for number, each in enumerate(sockets):
    os.dup2(each.fileno(), 3 + number)
    os.set_inheritable(3 + number, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execvp("hotbay", ["hotbay", "serve", *sys.argv[1:]])
ACTIVATOR
activate() {
    "$python" activator.py --volume a=a.img --control "$HOTBAY_CONTROL" --state "$dir/state" "$@" >>"$dir/log" 2>&1 &
    daemon=$!
    until [ -e ready ]; do sleep 0.05; done
}
given() { echo "nbd+unix:///a?socket=$dir/given.sock"; }

activate --listen unix:unused.sock
# This one connects before there is a daemon, and is served.
nbdinfo --size "$(given)" >size
is "the size" "$(cat size)" 16777216
answers "$daemon"
nbdinfo --size "nbd://127.0.0.1:$(cat ready)/a" >/dev/null
[ ! -e unused.sock ] || fail "it listens where it was not to"
hotbay status --json | grep -q "unix:$dir/given.sock\|unix:given.sock" || fail "status does not name the socket: $(hotbay status --json)"
stop_hotbay
[ -S given.sock ] || fail "the socket that it was given is gone"

# the same by systemd's own tool, where it is installed
if command -v systemd-socket-activate >/dev/null; then
    systemd-socket-activate --listen="$dir/by-systemd.sock" "$(command -v hotbay)" serve --volume a=a.img \
        --control "$HOTBAY_CONTROL" --state "$dir/state" >>"$dir/log" 2>&1 &
    daemon=$!
    until [ -S by-systemd.sock ]; do sleep 0.05; done
    nbdinfo --size "nbd+unix:///a?socket=$dir/by-systemd.sock" >/dev/null
    answers "$daemon"
    stop_hotbay
fi

# what is no socket for clients is refused by name
cat >wrong.py <<'WRONG'
import os
os.dup2(os.open("/dev/null", os.O_RDONLY), 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp("hotbay", ["hotbay", "serve", "--control", "wrong.sock", "--state", "wrong"])
WRONG
refused "$python" wrong.py
grep -q 'socket 0 of those that were passed cannot be used' complaint
