#!/usr/bin/env bash
# The blocks of README.md that need no root, taken from the page and run as they stand; kernel/readme.sh runs the others. Those that
# nobody runs are named here, so that a new one is noticed.
source "$(dirname "$0")/lib.sh"
repository=$(realpath "$tests/..")
"$python" "$tests/doc-links.py" "$repository" || fail "a link leads nowhere"
mkdir blocks
"$python" "$tests/readme-blocks.py" "$repository/README.md" blocks
is "the blocks that nobody runs" "$(cat blocks/not-run)" tests
is "the blocks that are run here" "$(paste -sd ' ' blocks/host)" "demo install"

# Cargo builds nothing where the tests have just built it. Where they were given a binary it stands in for what cargo would make of it.
if [ "$(realpath "$hotbay_binary")" != "$(realpath -m "${CARGO_TARGET_DIR:-$repository/target}/release/hotbay")" ]; then
    echo "not run with cargo, but with $hotbay_binary"
    cat >bin/cargo <<'CARGO'
#!/bin/sh
case "$*" in
    "run -- demo") exec hotbay demo ;;
    "install --locked --path crates/hotbay") install -D "$(command -v hotbay)" "$CARGO_INSTALL_ROOT/bin/hotbay" ;;
    *) echo "what is 'cargo $*'?" >&2; exit 1 ;;
esac
CARGO
    chmod +x bin/cargo
fi
block() { (cd "$repository" && TMPDIR=$dir bash -eu "$dir/blocks/$1.sh"); }

block demo >demo.log 2>&1 || { cat demo.log >&2; fail "the demo ended with an error"; }
# The page shows how it begins, but for the times.
without_times() { sed -E 's/[0-9]+\.[0-9]+ s/TIME/; s/^ +//; s/[0-9]+ MiB/SIZE/g' "$1"; }
sed -n '/^```text$/,/^```$/p' "$repository/README.md" | grep -v '^```' >shown
[ -s shown ] || fail "the page shows no demo"
without_times shown >shown.lines
without_times demo.log >demo.lines
while IFS= read -r line; do
    grep -qxF -- "$line" demo.lines || { cat demo.log >&2; fail "the demo does not say: $line"; }
done <shown.lines

CARGO_INSTALL_ROOT=$dir/installed block install >install.log 2>&1 || { cat install.log >&2; fail "the installation failed"; }
installed/bin/hotbay --version | grep -q '^hotbay '
