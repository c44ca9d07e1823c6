//! The bound on a line, for both ends.

/// The longest request, in bytes with its newline. The longest one is a `swap` with a path.
pub(super) const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// The longest reply, in bytes with its newline. The longest one is the status of 128 volumes.
pub(super) const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// A value as one line, newline and all.
pub(super) fn to_line(value: &impl serde::Serialize) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(value).expect("the vocabulary has string keys and finite numbers");
    line.push(b'\n');
    line
}
