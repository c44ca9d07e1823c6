#!/usr/bin/env bash
# Two volumes as partitions of one disk: tools accept its table without a word, it cannot be written, it is there with
# every medium away, and each medium comes and goes by itself.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
blank b.img 8M
start_hotbay --layout partitions --volume a=a.img --volume b=b.img
is "the exports" "$(nbdinfo --list --json "$(uri "")" | grep -c '"export-name"')" 1
is "the size" "$(nbdinfo --size "$(uri hotbay)")" $((26 << 20))
is "the export of b" "$(field b export)" hotbay

# accepted IMAGE: every tool finds two partitions, and complains about nothing.
accepted() {
    sfdisk --verify "$1" >said 2>&1 || fail "sfdisk: $(cat said)"
    grep -q 'No errors detected' said && ! grep -qi warning said || fail "sfdisk: $(cat said)"
    sgdisk --verify "$1" >said 2>&1 || fail "sgdisk: $(cat said)"
    grep -q 'No problems found' said && ! grep -qiE 'warning|caution' said || fail "sgdisk: $(cat said)"
    parted --script "$1" unit s print >said 2>&1 || fail "parted: $(cat said)"
    ! grep -qiE 'warning|error' said || fail "parted: $(cat said)"
    grep -Eq '^ 1 +2048s +34815s +32768s .*a$' said && grep -Eq '^ 2 +34816s +51199s +16384s .*b$' said ||
        fail "parted: $(cat said)"
    is "the type of the table" "$(blkid -p -o value -s PTTYPE "$1")" gpt
}
nbdcopy "$(uri "")" disk.img
accepted disk.img
disk=$(sfdisk --disk-id disk.img)

# What is written to the disk is on the medium of the partition.
fill "" 0x0a 1M 16M
fill "" 0x0b 17M 8M
file_holds a.img 0x0a 0 16M
file_holds b.img 0x0b 0 8M

# The table: its own bytes written back are accepted, others are refused and logged.
dd if=disk.img of=table bs=512 count=34 status=none
io "" "write -s table 0 17408"
# table_is_kept OFFSET LENGTH
table_is_kept() {
    ! qemu-io -f raw -c "write -P 0xee $1 $2" "$(uri "")" >said 2>&1 || fail "the table was written at $1"
    grep -q 'Operation not permitted' said || fail "it says: $(cat said)"
}
table_is_kept 0 512
table_is_kept 512 512
table_is_kept $(((26 << 20) - 512)) 512
table_is_kept 960k 128k                 # runs into partition a, which must not change
holds "" 0x0a 1M 64k
grep -q 'refused: .*partition table' log

# One medium away, then both: the other goes on, and the table is there.
hotbay pull a
fill "" 0x1a 2M 1M
fill "" 0x1b 18M 1M
file_holds b.img 0x1b 1M 1M
hotbay eject b
fill "" 0x2b 19M 1M
nbdsh -u "$(uri "")" -c 'open("head", "wb").write(h.pread(17408, 0))'
cmp head table
is "a" "$(state a)" absent
is "b" "$(state b)" absent

# A restart is not a removal, and it is the same disk.
kill_hotbay
start_hotbay --layout partitions --volume a=a.img --volume b=b.img
hotbay insert a
hotbay insert b
file_holds a.img 0x1a 1M 1M
file_holds b.img 0x2b 2M 1M
nbdcopy "$(uri "")" again.img
accepted again.img
is "the disk's identity" "$(sfdisk --disk-id again.img)" "$disk"

# Each by its name on a disk; the whole by the drive's.
hotbay status | grep -q -- '-N hotbay'
! nbdinfo "$(uri a)" >said 2>&1 || fail "volume a is an export too"
stop_hotbay
