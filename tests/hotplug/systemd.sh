#!/usr/bin/env bash
# What systemd is told, and that it finds nothing wrong with the units.
source "$(dirname "$0")/lib.sh"
config=$tests/../config

# --- ready, alive, how it is doing, stopping; a socket of ours in systemd's place
cat >manager.py <<'MANAGER'
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("notify.sock")
with open("told", "w", buffering=1) as told:
    while True:
        told.write(manager.recv(4096).decode() + "\n")
MANAGER
"$python" manager.py &
until [ -S notify.sock ]; do sleep 0.05; done
# told LINE [COUNT]: returns once it was told, so often.
told() { timeout "$patience" grep -q -m "${2:-1}" -x -- "$1" < <(trap - ERR; exec tail -n +1 -f told) || fail "not told: $1"; }

blank a.img 16M
NOTIFY_SOCKET=$dir/notify.sock WATCHDOG_USEC=300000 start_hotbay --volume a=a.img
told READY=1
told WATCHDOG=1
told 'STATUS=a is present'
hotbay pull a
told 'STATUS=a is absent'
stop_hotbay
told STOPPING=1
[ "$(grep -n -m1 . told | cut -d: -f2)" = READY=1 ] || fail "it is alive before it is ready"

# --- the units, with the binary where the test has it
mkdir units
for unit in hotbay.service hotbay.socket hotbay@.service hotbay-attach@.service; do
    sed "s,/usr/local/bin/hotbay,$dir/bin/hotbay,; s,/sbin/modprobe,/bin/true," "$config/$unit" >"units/$unit"
done
cp units/hotbay@.service units/hotbay@usb.service
cp units/hotbay-attach@.service units/hotbay-attach@usb.service
for unit in hotbay.service hotbay.socket hotbay@usb.service hotbay-attach@usb.service; do
    SYSTEMD_UNIT_PATH=$dir/units: systemd-analyze verify --man=no "units/$unit" 2>said || fail "$unit: $(cat said)"
    ! grep -F "$unit" said || fail "$unit has warnings"
done
systemd-analyze security --offline=true --threshold=30 units/hotbay.service >/dev/null || fail "the service is too exposed"

# --- each option of their command lines is one that there is
printf '[[volume]]\nname = "usb"\nmedium = "a.img"\n' >drive.toml
grep -h '^ExecStart=' units/*.service | grep -o -- '--[a-z-]*' | sort -u >options
for option in $(cat options); do
    { hotbay serve --help; hotbay attach --help; } | grep -q -- "$option" || fail "there is no $option"
done
