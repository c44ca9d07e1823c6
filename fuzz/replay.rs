//! Runs a check over the corpus that is kept of it. Part of ordinary tests, which need neither nightly nor cargo-fuzz.

use std::path::Path;

/// Each file of `corpus/NAME`, in the order of their names.
pub(crate) fn replay(name: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&corpus).expect("the corpus is kept");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    for file in files {
        // Named by a failure, which tells nothing of the bytes itself.
        println!("{}", file.display());
        check(&std::fs::read(&file).expect("it can be read"));
    }
}
