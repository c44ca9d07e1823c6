# A disk takes writes into the cache of its device and then cannot sync them. Linux reports that once
# and marks the pages clean: a second sync would succeed while the disk holds the old data. Whoever
# was told that the sync is done can rely on it all the same.
driver nbd nbds_max=4 max_part=8
driver scsi_debug dev_size_mb=48 delay=0
driver sd_mod
driver dm-flakey
poll "the disk" test -b /dev/sda
sectors=$((48 * 2048))
flaky() { dmsetup --noudevsync "$@"; }
behave() { flaky suspend --nolockfs --noflush disk; flaky load disk --table "0 $sectors $1"; flaky resume disk; }
flaky create disk --table "0 $sectors linear /dev/sda 0"
start_hotbay --volume disk=/dev/dm-0
attach disk /dev/nbd0 ext4

for round in 1 2 3; do
    put disk book 4194304
    sync
    put_in_place disk book              # acknowledged, and nobody has asked for a sync yet

    behave "flakey /dev/sda 0 0 1 1 error_writes"
    sync -f /run/mnt/disk               # done: the journal has it
    hotbay events | grep -q 'sync failed'
    behave "linear /dev/sda 0"
    hotbay insert disk || hotbay wait disk present --timeout 30s
done

detach disk /dev/nbd0
stop_hotbay
save disk /dev/dm-0
