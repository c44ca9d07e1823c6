# A disk fails every request for a while, with acknowledged writes still in the page cache of its
# device, and then works again. Linux has marked those pages clean by then: a second sync would
# succeed while the disk holds the old data. No write may be missing.
driver nbd nbds_max=4 max_part=8
driver scsi_debug dev_size_mb=48 delay=0
driver sd_mod
poll "the disk" test -b /dev/sda
start_hotbay --volume disk=/dev/sda
attach disk /dev/nbd0 ext4
read_metadata disk /dev/nbd0

keep_writing disk
for round in 1 2 3; do
    writes 12
    echo offline >/sys/block/sda/device/state
    hotbay wait disk absent --timeout 30s
    writes 12
    echo running >/sys/block/sda/device/state
    hotbay insert disk || hotbay wait disk present --timeout 30s
done
writes 12
stop_writing

detach disk /dev/nbd0
stop_hotbay
save disk /dev/sda
