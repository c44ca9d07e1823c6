//! Directories that are made here belong to their user alone.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Creates a directory and those above it with mode 0700. One that is there keeps the mode that it has.
///
/// # Errors
/// Those of the file system.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
