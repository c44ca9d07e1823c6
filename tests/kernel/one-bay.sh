# One bay, two disks, both mounted: they change places under the file systems, and are torn out.
driver nbd nbds_max=4 max_part=8
truncate -s 48M a.img b.img
start_hotbay --bays 1 --volume a=a.img --volume b=b.img

attach a /dev/nbd0 ext2
read_metadata a /dev/nbd0
hotbay insert b --replace
attach b /dev/nbd1 ext2
read_metadata b /dev/nbd1

keep_writing a                      # to a disk that is not in the drive
writes 12
hotbay insert a --replace
writes 12
hotbay pull a
writes 12
hotbay status

put b letter 100000                 # the bay is empty: both disks are away
put b album/first 3000000
sync -f /run/mnt/b
hotbay insert b
put b album/second 2000000
hotbay pull b
put b album/third 1000000
sync -f /run/mnt/b

hotbay insert a
writes 12
hotbay insert b --replace
writes 12
stop_writing
sync

detach b /dev/nbd1
hotbay insert a --replace
detach a /dev/nbd0
stop_hotbay
save a a.img
save b b.img
