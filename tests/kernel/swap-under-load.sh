# A live ext4 moves to another disk, is torn out before, between and after, and nobody unmounts it.
driver nbd nbds_max=4 max_part=8
truncate -s 48M a.img b.img spare.img
start_hotbay --bays 2 --volume a=a.img --volume b=b.img
attach a /dev/nbd0 ext4
attach b /dev/nbd1 ext2
read_metadata a /dev/nbd0
read_metadata b /dev/nbd1

keep_writing a
writes 12
hotbay pull a                       # in mid-write
writes 12
hotbay insert a
writes 12

hotbay swap a spare.img
rm a.img                            # what it stood on is gone for good
writes 12
hotbay pull a
writes 12

hotbay pull b
put b letter 1000000
sync -f /run/mnt/b
hotbay insert b
put b letter 1000000

hotbay insert a
writes 12
stop_writing
detach a /dev/nbd0
detach b /dev/nbd1
stop_hotbay
save a spare.img
save b b.img
