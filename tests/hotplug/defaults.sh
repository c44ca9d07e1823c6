#!/usr/bin/env bash
# `hotbay serve` with nothing else just works, in the user's own directories, and says what to type.
source "$(dirname "$0")/lib.sh"

unset HOTBAY_CONTROL HOTBAY_STATE
export HOME="$dir/home" XDG_RUNTIME_DIR="$dir/run" XDG_STATE_HOME="$dir/home/state"
export XDG_DATA_HOME="$dir/home/data" XDG_CONFIG_HOME="$dir/home/config"
mkdir -p "$HOME"
mkdir -m 700 "$XDG_RUNTIME_DIR"
if [ "$(id -u)" = 0 ]; then             # root's defaults are the system's: not for a test to use
    export HOTBAY_CONTROL="$XDG_RUNTIME_DIR/control.sock" HOTBAY_STATE="$dir/home/state"
fi

hotbay serve >said 2>log &
daemon=$!
answers "$daemon"
cat log >>said
grep -q 'hotbay.* eject a' said         # what to type next, and where the clients go
socket=$(sed -n 's/^ *listening on unix://p' said)
hotbay status | grep -q present

fill_default() { qemu-io -f raw -c 'write -P 0x11 0 64k' "nbd+unix:///$1?socket=$socket" >/dev/null; }
fill_default a
fill_default b
fill_default ''
stop_hotbay
