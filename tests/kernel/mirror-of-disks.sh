# A mirror of two real SCSI disks under a mounted ext4. One disk is unplugged while files are written, and plugged in again, then the
# other, then both. Both hold the same file system in the end.
driver nbd nbds_max=4 max_part=8
two_disks
copy_is() { hotbay status "$1" --json | grep -q "\"in_sync\":$2"; }
until_in_sync() { poll "the copy on $1 to have everything" copy_is "$1" true; }

volumes=(a b)                            # the volume on the disk of each host
start_hotbay --layout mirror --volume "a=wwn:$(wwn_of 0)" --volume "b=wwn:$(wwn_of 1)"
until_in_sync a
until_in_sync b
attach hotbay /dev/nbd0 ext4
read_metadata hotbay /dev/nbd0

for round in 1 2; do
    for hosts in "0" "1" "0 1"; do
        keep_writing hotbay
        writes 5
        for host in $hosts; do unplug "$host"; done
        for host in $hosts; do hotbay wait "${volumes[$host]}" absent --timeout 60s; done
        writes 5
        [ "$hosts" = "0 1" ] || poll "the copy to be behind" copy_is "${volumes[$hosts]}" false
        for host in $hosts; do plug "$host"; done
        for host in $hosts; do hotbay wait "${volumes[$host]}" present --timeout 60s; done
        writes 5
        stop_writing
        until_in_sync a
        until_in_sync b
    done
done
! dmesg | grep -E 'error.* nbd0|EXT4-fs.*error|Aborting journal'

detach hotbay /dev/nbd0
hotbay scrub a | grep 'compared, no difference'
stop_hotbay
cmp "/dev/$(name_of 0)" "/dev/$(name_of 1)"
for host in 0 1; do
    ln -s hotbay "/run/originals/${volumes[$host]}"
    save "${volumes[$host]}" "/dev/$(name_of "$host")"
done
