# A disk takes writes into the cache of its device and then cannot sync them. Linux reports that once
# and marks the pages clean: a second sync would succeed while the disk holds the old data. Whoever
# was told that the sync is done can rely on it all the same.
driver nbd nbds_max=4 max_part=8
flaky_disk 48
start_hotbay --volume disk=/dev/dm-0
attach disk /dev/nbd0 ext4

for round in 1 2 3; do
    put disk book 4194304
    sync
    put_in_place disk book              # acknowledged, and nobody has asked for a sync yet

    behave error_writes
    sync -f /run/mnt/disk               # done: the journal has it
    hotbay events | grep -q 'sync failed'
    behave well
    hotbay insert disk || hotbay wait disk present --timeout 30s
done

detach disk /dev/nbd0
stop_hotbay
save disk /dev/dm-0
