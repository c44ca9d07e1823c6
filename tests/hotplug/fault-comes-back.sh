#!/usr/bin/env bash
# Media that tear, forget what was not synced, or vanish, in mid-load, and come back by themselves: nothing is lost. One
# that comes back as another is refused.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
start_hotbay --volume "a=$dir/a.img"
keep_writing a
attachment=$(field a attachment)
for fault in 'torn on write 50' 'vanish on write 50' 'lose-unsynced on write 50' 'error on sync'; do
    case $fault in *sync) back= ;; *) back='back 300ms' ;; esac
    [ "$fault" != 'lose-unsynced on write 50' ] || back='back 300ms'
    hotbay fault a "$fault" $back
    writes 100
    [ "$fault" != 'error on sync' ] || io a flush
    event 'the medium is lost'
    becomes a present
    writes 50
    now=$(field a attachment)
    [ "$now" -gt "$attachment" ] || fail "$fault: it was never away"
    attachment=$now
    hotbay fault a --clear
done

hotbay fault a vanish on write 10 back 100ms blank
writes 100
becomes a absent
event 'is not the medium of volume a'
is "the state" "$(state a)" absent
writes 100
hotbay fault a --clear
becomes a present
stop_writing
stop_hotbay
cmp a.img expected.img
