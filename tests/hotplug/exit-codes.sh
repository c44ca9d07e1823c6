#!/usr/bin/env bash
# What scripts depend on: 0 done, 1 refused or failed with an error: line, 2 usage, 3 out of time.
source "$(dirname "$0")/lib.sh"

refused hotbay status                   # nothing runs yet
grep -q '^hint: ' complaint
blank a.img 16M
start_hotbay --volume a=a.img

exits 0 hotbay status
exits 0 hotbay status a
exits 0 hotbay wait a present
exits 0 hotbay eject a
exits 0 hotbay wait a absent
exits 0 hotbay insert a
exits 0 hotbay events
exits 0 hotbay events --json

refused hotbay status nobody
refused hotbay eject nobody
refused hotbay insert a nothing-here.img    # a is in, and there is no such file
refused hotbay swap a nothing-here.img
hotbay eject a
refused hotbay eject a                  # there is nothing to take away
refused hotbay pull a
refused hotbay insert a nothing-here.img

exits 2 hotbay
exits 2 hotbay frobnicate
exits 2 hotbay insert
exits 2 hotbay wait a no-such-state
exits 2 hotbay wait a present --timeout soon
exits 2 hotbay serve --bays many

exits 3 hotbay wait a present --timeout 100ms

HOTBAY_CONTROL=$dir/nobody.sock refused hotbay status
HOTBAY_CONTROL=$dir/nobody.sock exits 0 hotbay status --control "$dir/control.sock"
