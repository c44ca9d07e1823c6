#!/usr/bin/env bash
# A live disk moves to other storage while a client writes; nobody is disconnected.
source "$(dirname "$0")/lib.sh"

blank old.img 32M
blank new.img 32M
start_hotbay --volume a=old.img
becomes a present
fill a 0x11 0 32M
keep_writing a
writes 100

hotbay swap a new.img
is "the state" "$(state a)" present
field a medium | grep -q 'new\.img'
sha256sum old.img >then
writes 200
stop_writing

stop_hotbay
cmp expected.img new.img
sha256sum --quiet -c then               # the old one may be taken away: nothing writes to it
