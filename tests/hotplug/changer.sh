#!/usr/bin/env bash
# One bay, two media on a shelf, and a robot that moves the files: both volumes are busy, take turns, and lose nothing. A robot that
# fails or hangs is told, and tried again.
source "$(dirname "$0")/lib.sh"

mkdir bay shelf
blank bay/a.img 16M
blank bay/b.img 16M
cat >robot <<'ROBOT'
#!/bin/bash
# robot load|unload BAY VOLUME MEDIUM
set -e
cd "$(dirname "$0")"
[ "$HOTBAY_ACTION $HOTBAY_BAY $HOTBAY_VOLUME $HOTBAY_MEDIUM" = "$*" ]
echo "$1 $3 begins $(date +%s%3N)" >>times
[ ! -e broken ] || exit 7
[ ! -e slow ] || sleep 1000
case $1 in
    load) [ -z "$(ls bay)" ] && mv "shelf/$3.img" bay/ ;;
    unload) mv "bay/$3.img" shelf/ ;;
esac
echo "$1 $3 ends $(date +%s%3N)" >>times
ROBOT
chmod +x robot
cat >drive.toml <<EOF
bays = 1
bay_command = ["$dir/robot"]
bay_timeout = "2s"
bay_minimum_stay = "1s"
[[volume]]
name = "a"
medium = "bay/a.img"
[[volume]]
name = "b"
medium = "bay/b.img"
EOF
sed '/^bay_/d' drive.toml >by-hand.toml
start_hotbay by-hand.toml                # once with both at hand: a medium tells its volume's size
becomes a present
stop_hotbay
mv bay/b.img shelf/
start_hotbay drive.toml
becomes a present

# cold VOLUME NUMBER: a read that nobody but the medium can answer.   use VOLUME: writes and such reads.
cold() { timeout 60 qemu-io -f raw -c "read -P 0 $((8192 + 64 * $2))k 64k" "$(uri "$1")" >"$1.log" 2>&1 || { cat "$1.log" >&2; return 1; }; }
use() {
    local round
    for round in 0 1 2 3 4; do
        timeout 60 qemu-io -f raw -c "write -P 0x5$round $((64 * round))k 64k" -c flush "$(uri "$1")" >"$1.log" 2>&1
        cold "$1" "$round" || return 1
    done
}
use a & one=$!
use b & other=$!
wait "$one" || fail "a client of a met an error"
wait "$other" || fail "a client of b met an error"
[ "$(grep -c '^load b ends' times)" -ge 1 ] && [ "$(grep -c '^load ' times)" -ge 2 ] || fail "nothing was exchanged: $(cat times)"
# A medium that was loaded stayed for its second.
awk '$1 == "load" && $3 == "ends" { since[$2] = $4 }
     $1 == "unload" && $3 == "begins" && since[$2] && $4 - since[$2] < 1000 { print; bad = 1 }
     END { exit bad }' times || fail "a medium had to go too early: $(cat times)"

# settled VOLUME NUMBER: its medium is in, and has everything.
settled() { cold "$1" "$2" && becomes "$1" present >/dev/null; }
settled a 10
settled b 10
settled a 11
for volume in a b; do
    image=bay/a.img
    [ "$volume" = a ] || image=shelf/b.img
    for round in 0 1 2 3 4; do file_holds $image 0x5$round $((64 * round))k 64k; done
done

# --- a robot that fails, and one that hangs
touch broken
cold b 20 & reader=$!
event "unload 1 a' ended with exit status: 7"
is "a, which was ejected," "$(state a)" absent
fill a 0x77 1M 1M                        # its journal has it
rm broken
wait "$reader" || fail "the reader met an error though the robot is well again"
touch slow
cold a 20 & reader=$!
event 'took more than 2s, and was killed'
rm slow
wait "$reader" || fail "the reader met an error though the robot is awake again"
becomes a present
stop_hotbay
file_holds bay/a.img 0x77 1M 1M

# --- what it says is checked
refused hotbay check-config <(sed 's,^bay_command.*,bay_command = ["robot"],' drive.toml)
grep -q "bay_command's program .robot. is no absolute path" complaint || fail "$(cat complaint)"
hotbay check-config drive.toml | grep -q '^bay_minimum_stay *1s'
