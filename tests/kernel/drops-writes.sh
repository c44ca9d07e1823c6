# A disk takes writes, says that they are done, drops them, and only at the sync it fails: as one whose cache was lost. No
# page is dirty any more by then, so nobody but hotbay still has the bytes. Twenty times.
driver nbd nbds_max=4 max_part=8
flaky_disk 48
start_hotbay --volume disk=/dev/dm-0
attach disk /dev/nbd0 ext4
put disk book 2097152
# A flush that the disk pretends to have done would be nobody's fault: neither a commit nor the preparing of inode tables asks
# for one.
mount -o remount,commit=600,noinit_itable /run/mnt/disk

for round in $(seq 20); do
    sync
    behave drop_writes
    put_in_place disk book              # acknowledged, and nobody has asked for a sync yet
    blockdev --flushbufs /dev/dm-0      # written, without a sync: dropped
    behave error_writes
    sync -f /run/mnt/disk               # done: the journal has it
    [ "$(hotbay events | grep -c 'sync failed\|cannot sync')" -ge "$round" ]
    behave well
    hotbay insert disk || hotbay wait disk present --timeout 30s
    compare disk
done

detach disk /dev/nbd0
stop_hotbay
save disk /dev/dm-0
