#!/usr/bin/env bash
# A hook puts the medium back by itself; a hook that hangs holds up nobody.
source "$(dirname "$0")/lib.sh"

blank a.img 16M
cat >reinsert <<'HOOK'
#!/bin/sh
echo "$HOTBAY_SEQUENCE $HOTBAY_EVENT $HOTBAY_VOLUME" >>events-seen
[ "$HOTBAY_EVENT" != pulled ] || hotbay insert "$HOTBAY_VOLUME"
HOOK
chmod +x reinsert
cat >drive.toml <<CONFIG
[[volume]]
name = "a"
medium = "a.img"
auto_insert = false

[[hook]]
command = ["$dir/reinsert"]
events = ["pulled", "present"]

[[hook]]
command = ["/bin/sleep", "1000"]
CONFIG
start_hotbay drive.toml
fill a 0x11 0 1M
hotbay pull a
becomes a present                          # the hook did it, while the other one hangs
holds a 0x11 0 1M

hotbay eject a                             # not one of its events
timeout "$patience" grep -q -m1 present < <(trap - ERR; exec tail -n +3 -f events-seen)
awk '{ print $2, $3 }' events-seen >seen
printf 'present a\npulled a\npresent a\n' | diff - seen
sort -c -n events-seen

hung=$(pgrep --parent "$daemon" -x sleep)
stop_hotbay
! kill -0 "$hung" 2>/dev/null || fail "the hook outlives the daemon"

wrong() { printf '[[volume]]\nname = "a"\nmedium = "a.img"\n[[hook]]\n%s\n' "$1" >wrong.toml; refused hotbay check-config wrong.toml; }
wrong 'command = ["mail"]';                              grep -q 'is no absolute path' complaint
wrong 'command = []';                                    grep -q 'empty command' complaint
wrong 'command = ["/bin/true"]
events = ["los"]';                                       grep -q 'did you mean `lost`' complaint
wrong 'command = ["/bin/true"]
timeout = "0s"';                                         grep -q 'out of bounds' complaint
