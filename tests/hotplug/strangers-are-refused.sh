#!/usr/bin/env bash
# Whoever may open the control socket still has to be its user, or root: the kernel says who connects, not the mode of a file
# that somebody has loosened. A refused one is told why, and changes nothing.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img

# ask_as USER: connects as that user, says `eject`, prints what comes back.
ask_as() {
    "$python" - "$1" <<'PY'
import os, socket, sys
user = int(sys.argv[1])
if user != os.geteuid():
    os.setresuid(user, user, user)
control = socket.socket(socket.AF_UNIX)
control.settimeout(10)
control.connect("control.sock")
try:
    control.sendall(b'{"request":"eject","volume":"a"}\n')
except BrokenPipeError:
    pass
print(control.makefile().readline(), end="")
PY
}

if [ "$(id -u)" = 0 ]; then
    chmod 711 .
    chmod 666 control.sock
    says=$(ask_as 65534)
    grep -q '"user 65534 may not control this drive"' <<<"$says" || fail "it says: $says"
    grep -q 'ask as that user or as root' <<<"$says" || fail "it says: $says"
    is "what it has changed" "$(state a)" present
fi
ask_as "$(id -u)" >/dev/null
is "what the owner has changed" "$(state a)" absent
