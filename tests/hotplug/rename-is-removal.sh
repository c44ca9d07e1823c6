#!/usr/bin/env bash
# An image that is moved away is a medium that is gone, although its open file would take writes
# for ever. When the path is back the medium goes in again by itself.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume a=a.img
keep_writing a
writes 100

mv a.img elsewhere.img
becomes a absent
sha256sum elsewhere.img >then
writes 200
sha256sum --quiet -c then               # not one byte goes where nobody would look for it

mv elsewhere.img a.img
becomes a present                       # no insert typed
writes 100

stop_writing
stop_hotbay
cmp expected.img a.img
