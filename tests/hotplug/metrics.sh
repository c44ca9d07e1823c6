#!/usr/bin/env bash
# Metrics say what happened; Prometheus' own tool finds nothing wrong with them, with the alerts and with the dashboard's queries.
source "$(dirname "$0")/lib.sh"
config=$tests/../config

# metric NAME{LABELS}: its value.
metric() { scrape | awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }'; }
scrape() { "$python" -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode(), end="")' "$url"; }
is() { local value; value=$(metric "$1"); [ "$value" = "$2" ] || fail "$1 is $value, not $2"; }
more_than() { metric "$1" | awk -v least="$2" '{ exit !($1 > least) }' || fail "$1 is not more than $2"; }

blank a.img 16M
start_hotbay --volume a=a.img --metrics 0
becomes a present
url=$(hotbay status --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["metrics"])')
case $url in http://127.0.0.1:*/metrics) ;; *) fail "a port alone is served at $url" ;; esac

fill a 0x11 0 1M
is 'hotbay_request_bytes_total{export="a",operation="write"}' 1048576
is 'hotbay_volume_state{volume="a",state="present"}' 1
is 'hotbay_bays_occupied' 1
is 'hotbay_events_total{volume="a",event="pulled"}' 0

hotbay pull a
fill a 0x22 1M 1M
is 'hotbay_volume_state{volume="a",state="absent"}' 1
is 'hotbay_volume_state{volume="a",state="present"}' 0
is 'hotbay_events_total{volume="a",event="pulled"}' 1
is 'hotbay_bays_occupied' 0
more_than 'hotbay_journal_live_bytes{volume="a"}' 1048575
is 'hotbay_request_errors_total{export="a",operation="write",error="ENOSPC"}' 0

# A write that nobody flushes is retained, and grows older.
hotbay insert a
write_unflushed a 0x33 0 4096
more_than 'hotbay_retained_bytes{volume="a"}' 4095
more_than 'hotbay_retained_oldest_age_seconds{volume="a"}' 0
holds a 0x22 1M 1M
is 'hotbay_events_total{volume="a",event="inserted"}' "$(metric 'hotbay_events_total{volume="a",event="present"}')"

scrape | promtool check metrics
promtool check rules "$config/prometheus-alerts.yml"

# Each query of the alerts and of the dashboard names metrics that there are.
scrape >scraped
"$python" - "$config" <<'CHECK'
import json, re, sys
names = {line.split()[2] for line in open("scraped") if line.startswith("# TYPE ")}
names |= {name + suffix for name in names for suffix in ("_bucket", "_count", "_sum")}
queries = re.findall(r"expr: (.*)", open(sys.argv[1] + "/prometheus-alerts.yml").read())
for panel in json.load(open(sys.argv[1] + "/grafana-dashboard.json"))["panels"]:
    queries += [target["expr"] for target in panel["targets"]]
used = {name for query in queries for name in re.findall(r"hotbay_\w+", query)}
assert len(used) > 10 and used <= names, used - names
CHECK

refused hotbay serve --metrics "${url:7:-8}" --volume b=mem:1MiB --control "$dir/c2" --state "$dir/s2" --listen "unix:$dir/n2"
grep -q 'cannot serve metrics on 127.0.0.1:' complaint
