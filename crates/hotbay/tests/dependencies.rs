//! Who may depend on whom. The crates are layers, and this table is what keeps them so: a change here is a
//! decision about the architecture, not a repair of a test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What a crate of the workspace may depend on, and what from elsewhere it must not.
struct Rule {
    /// The package, without `hotbay-`.
    name: &'static str,
    /// The workspace's packages that it may depend on, for its tests as well.
    may: &'static [&'static str],
    /// Packages from elsewhere that it must not depend on; its tests may.
    must_not: &'static [&'static [&'static str]],
}

const RUNTIMES: &[&str] = &["async-std", "mio", "smol", "tokio", "tokio-util"];
const FUTURES: &[&str] = &["futures", "futures-util"];
const SYSTEM: &[&str] = &["libc", "memmap2", "nix", "rustix"];
/// Configuration and everything that a person types or a script reads.
const EDGE: &[&str] = &["anyhow", "clap", "serde", "serde_json", "toml"];

const RULES: &[Rule] = &[
    Rule { name: "block", may: &[], must_not: &[RUNTIMES, SYSTEM, EDGE] },
    Rule { name: "nbd", may: &[], must_not: &[RUNTIMES, FUTURES, SYSTEM, EDGE] },
    Rule { name: "journal", may: &["block"], must_not: &[RUNTIMES, FUTURES, EDGE] },
    Rule { name: "media", may: &["block", "nbd"], must_not: &[EDGE] },
    Rule { name: "drive", may: &["block", "journal"], must_not: &[SYSTEM, EDGE] },
    Rule { name: "server", may: &["block", "nbd"], must_not: &[EDGE] },
    Rule {
        name: "hotbay",
        may: &["block", "nbd", "journal", "media", "drive", "server"],
        must_not: &[],
    },
];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap()
}

fn short(package: &str) -> &str {
    package.strip_prefix("hotbay-").unwrap_or(package)
}

/// The packages that `package` depends on in these ways.
fn dependencies(package: &Package, kinds: &[DependencyKind]) -> BTreeSet<String> {
    let wanted = package.dependencies.iter().filter(|dependency| kinds.contains(&dependency.kind));
    wanted.map(|dependency| dependency.name.clone()).collect()
}

/// All that is wrong with a package, a line each.
fn wrongs(package: &Package, rule: &Rule, workspace: &BTreeSet<String>) -> Vec<String> {
    let used = dependencies(package, &[DependencyKind::Normal, DependencyKind::Build]);
    let tested = dependencies(package, &[DependencyKind::Development]);
    let own =
        used.union(&tested).filter(|other| workspace.contains(*other)).map(|other| short(other));
    // With another feature a crate may depend on itself for its tests.
    let forbidden = own.filter(|other| !rule.may.contains(other) && *other != rule.name);
    let unwanted = rule
        .must_not
        .concat()
        .into_iter()
        .filter(|other| used.contains(*other))
        .collect::<Vec<_>>();
    forbidden
        .chain(unwanted)
        .map(|other| format!("{} must not depend on {other}", rule.name))
        .collect()
}

#[test]
fn each_crate_depends_only_on_what_it_may() {
    let metadata = metadata();
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (short(&package.name), package)).collect();
    let named: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(packages.keys().copied().collect::<BTreeSet<_>>(), named, "each crate has a rule");

    let workspace = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let wrongs: Vec<String> =
        RULES.iter().flat_map(|rule| wrongs(packages[rule.name], rule, &workspace)).collect();
    assert_eq!(wrongs, Vec::<String>::new());
}

/// A table that allowed a circle would not say who is below whom.
#[test]
fn the_table_has_an_order() {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for _ in RULES {
        let settled = RULES.iter().filter(|rule| rule.may.iter().all(|name| below.contains(name)));
        below = settled.map(|rule| rule.name).collect();
    }
    assert_eq!(below.len(), RULES.len());
}
