#!/usr/bin/env bash
# The table of a disk of partitions, for volumes of odd sizes, of the smallest and of a very large one, and of as many as a drive has:
# every tool finds each partition where it is, and none complains.
source "$(dirname "$0")/lib.sh"

# table_of FILE: what tools read of a disk, its first MiB and its last, in a file of its size; the disk itself may be too large to copy.
table_of() {
    FILE=$1 nbdsh -u "$(uri "")" -c '
import os
size, end = h.get_size(), 1 << 20
with open(os.environ["FILE"], "wb") as disk:
    disk.truncate(size)
    os.pwrite(disk.fileno(), h.pread(end, 0), 0)
    os.pwrite(disk.fileno(), h.pread(end, size - end), size - end)'
}

# silent PROGRAM: it said nothing in `said` that a person would look up.
silent() { ! grep -qiE 'warning|caution|error|invalid|corrupt|differ|overlap|not .*(align|boundar)' said || fail "$1: $(cat said)"; }

# accepted FILE PARTITIONS ODD: every tool finds so many, and complains about nothing. But for sgdisk, which cautions against partitions that end
# within a MiB, as those of ODD volumes do: a partition is neither longer than its volume nor shorter.
accepted() {
    sfdisk --verify "$1" >said 2>&1 && grep -q 'No errors detected' said || fail "sfdisk: $(cat said)"
    sed -i 's/No errors detected//' said; silent sfdisk
    sgdisk --verify "$1" >said 2>&1 && grep -q 'No problems found' said || fail "sgdisk: $(cat said)"
    is "the cautions" "$(grep -c "^Caution: Partition .* doesn't end on a 2048-sector boundary" said)" "$3"
    sed -i '/^Caution: Partition .* end on a 2048-sector boundary/,/^result in problems/d; s/No problems found//' said
    silent sgdisk
    sgdisk --print "$1" >said 2>&1 || fail "sgdisk: $(cat said)"
    silent sgdisk
    is "the partitions that sgdisk finds" "$(grep -cE '^ +[0-9]+ +[0-9]+ +[0-9]+ ' said)" "$2"
    parted --script "$1" unit s print >said 2>&1 || fail "parted: $(cat said)"
    is "the partitions that parted finds" "$(grep -cE '^ *[0-9]+ +[0-9]+s ' said)" "$2"
    silent parted
    local number
    for number in 1 "$2"; do
        parted --script "$1" align-check optimal "$number" >said 2>&1 || fail "partition $number is not aligned: $(cat said)"
    done
    is "the type of the table" "$(blkid -p -o value -s PTTYPE "$1" 2>said)" gpt
    [ ! -s said ] || fail "blkid: $(cat said)"
}

# places FILE: each partition as START+SIZE, in sectors.
places() { sfdisk --json "$1" | "$python" -c '
import json, sys
print(*("%s+%s" % (p["start"], p["size"]) for p in json.load(sys.stdin)["partitiontable"]["partitions"]))'; }

# --- odd sizes; what is no whole sector is not on the disk
sizes=(512 513 4608 1048575 1048577 5000000 1099511627776 7340544)
options=()
for number in "${!sizes[@]}"; do
    truncate -s "${sizes[number]}" "odd-$number.img"
    options+=(--volume "odd-$number=odd-$number.img")
done
start_hotbay --layout partitions "${options[@]}"
expected='' start=2048
for size in "${sizes[@]}"; do
    expected+="$start+$((size / 512)) "
    start=$((start + ((size / 512) + 2047) / 2048 * 2048))
done
table_of odd.img
accepted odd.img ${#sizes[@]} 6
is "the places" "$(places odd.img) " "$expected"
is "the size" "$(nbdinfo --size "$(uri "")")" $(((start + 2048) * 512))
last=$(((start - ((7340544 / 512) + 2047) / 2048 * 2048) * 512))
fill "" 0x77 $((last - (1 << 20))) 1M                    # the last MiB of the tebibyte
file_holds odd-6.img 0x77 $(((1 << 40) - (1 << 20))) 1M
fill "" 0x78 $((last + 7340544 - 512)) 512               # the last sector of the last volume
file_holds odd-7.img 0x78 $((7340544 - 512)) 512
stop_hotbay
rm -r state

# --- one volume alone, the smallest
start_hotbay --layout partitions --volume only=odd-0.img
table_of only.img
accepted only.img 1 1
is "the places" "$(places only.img)" 2048+1
stop_hotbay
rm -r state

# --- as many as there may be
{
    printf 'layout = "partitions"\n[defaults]\njournal_limit = "16MiB"\n'
    for number in $(seq 128); do printf '[[volume]]\nname = "v%s"\nmedium = "mem:%sKiB"\n' "$number" $((number * 3)); done
} >many.toml
start_hotbay many.toml
table_of many.img
accepted many.img 128 128
is "the last name" "$(sgdisk --info=128 many.img | sed -n "s/^Partition name: '\(.*\)'/\1/p")" v128
stop_hotbay
printf '[[volume]]\nname = "v129"\nmedium = "mem:1MiB"\n' >>many.toml
refused hotbay check-config many.toml
grep -q '129 volumes are too many; the limit is 128' complaint || fail "$(cat complaint)"
grep -q '^hint: serve the others by another daemon' complaint || fail "$(cat complaint)"
