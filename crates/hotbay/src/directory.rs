//! Directories that are made here belong to their user alone.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Creates a directory and those above it with mode 0700. One that is there keeps the mode that it has.
///
/// # Errors
/// Those of the file system.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file for its user alone, in place of the earlier one. Durable when it returns; after a crash there is the earlier one
/// or this one.
///
/// # Errors
/// Those of the file system; the earlier file is still there.
pub(crate) fn write_whole(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(directory.join(name)).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}
