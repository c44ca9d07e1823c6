#!/usr/bin/env bash
# What the daemon makes is its owner's alone, whatever the umask: the journal is the disk's content.
source "$(dirname "$0")/lib.sh"

umask 000
blank a.img 16M
start_hotbay --volume a=a.img
hotbay eject a
fill a 0x11 0 1M

is "the control socket" "$(stat -c %a "$HOTBAY_CONTROL")" 600
is "the NBD socket" "$(stat -c %a nbd.sock)" 600
is "the state directory" "$(stat -c %a state)" 700
open=$(find state -perm /077 ! -type l)
is "what others may read" "$open" ""
