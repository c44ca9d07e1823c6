# A disk takes writes, says that they are done, drops them, and only at the sync it fails: as one whose cache was lost. No
# page is dirty any more by then, so nobody but hotbay still has the bytes. Twenty times.
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
put disk book 2097152
# A flush that the disk pretends to have done would be nobody's fault: neither a commit nor the preparing of inode tables asks
# for one.
mount -o remount,commit=600,noinit_itable /run/mnt/disk

for round in $(seq 20); do
    sync
    behave "flakey /dev/sda 0 0 1 1 drop_writes"
    put_in_place disk book              # acknowledged, and nobody has asked for a sync yet
    blockdev --flushbufs /dev/dm-0      # written, without a sync: dropped
    behave "flakey /dev/sda 0 0 1 1 error_writes"
    sync -f /run/mnt/disk               # done: the journal has it
    [ "$(hotbay events | grep -c 'sync failed\|cannot sync')" -ge "$round" ]
    behave "linear /dev/sda 0"
    hotbay insert disk || hotbay wait disk present --timeout 30s
    compare disk
done

detach disk /dev/nbd0
stop_hotbay
save disk /dev/dm-0
