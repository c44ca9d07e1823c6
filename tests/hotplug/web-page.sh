#!/usr/bin/env bash
# The page of the metrics address, in a real browser: it shows the drive, and follows it.
source "$(dirname "$0")/lib.sh"

# dom: the page as the browser has it after a second of its own time; to be looked at with `shows`.
dom() {
    timeout "$patience" chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$dir/browser" \
        --virtual-time-budget=3000 --dump-dom "$url" 2>browser.log >dom || { tail browser.log >&2; fail "the browser failed"; }
}
shows() { grep -q -- "$1" dom || fail "the page does not show: $1"; }

blank a.img 64M
blank '<b>b.img' 16M
printf '[defaults]\njournal_limit = "16MiB"\nretained_limit = "4MiB"\n' >small.toml
start_hotbay small.toml --volume a=a.img --volume 'b=<b>b.img' --bays 2 --metrics 0
becomes a present
url=$(hotbay status --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["metrics"])')
url=${url%metrics}

fill a 0x11 0 1M
hotbay pull b
dom
shows 'data-state="present" data-volume="a"'
shows 'data-state="absent" data-volume="b"'
shows '&lt;b&gt;b.img'                            # a name is text, whatever is in it
shows '<td class="">pulled</td>'
shows 'reads 0 B/s'

# A read that needs the medium.
(io b 'read 0 512') &
reader=$!
event 'please insert volume b'
dom
shows 'class="wish">please insert volume b: requests that wait: 1'
hotbay insert b
wait "$reader"
dom
! grep -q 'class="wish"' dom || fail "the page does not follow"
shows 'data-state="present" data-volume="b"'

# A write for which the journal has no room.
hotbay pull a
(io a 'write -P 0x22 0 40M') &
writer=$!
event '"journal-full"'
dom
shows 'class="wish">the journal of a is full: requests that wait: [1-9]'
hotbay insert a
wait "$writer"

# It needs nothing from elsewhere, and says so to the browser.
"$python" - "$url" <<'CHECK'
import json, re, sys, urllib.request
page = urllib.request.urlopen(sys.argv[1])
policy = page.headers["Content-Security-Policy"]
assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, policy
assert page.headers["X-Content-Type-Options"] == "nosniff"
assert not re.search(r'(?:src|href)="(?!data:|metrics"|live\.json")', page.read().decode())
live = json.load(urllib.request.urlopen(sys.argv[1] + "live.json"))
assert live["status"]["exports"][0]["writes"]["bytes"] == 41 << 20, live["status"]["exports"]
assert [event["sequence"] for event in live["events"]] == list(range(1, len(live["events"]) + 1))
CHECK
