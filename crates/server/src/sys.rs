//! The one system call that the safe bindings do not offer.
#![expect(unsafe_code, reason = "what the kernel knows of a TCP connection has no safe binding")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::silence::Heard;

/// What is known of the other end of a TCP connection.
///
/// # Errors
/// Those of `getsockopt(2)`, for any other socket too.
pub(crate) fn heard(socket: BorrowedFd<'_>) -> io::Result<Heard> {
    // An older kernel fills the front alone, with what is read here.
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or_default();
    let descriptor = socket.as_raw_fd();
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel writes `length` bytes at most to `info`, which has them.
    let answer = unsafe {
        libc::getsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all its fields are whole numbers, and it was zeroed.
    let info = unsafe { info.assume_init() };
    Ok(Heard {
        since: Duration::from_millis(info.tcpi_last_ack_recv.into()),
        unacknowledged: info.tcpi_unacked,
        sent_again: info.tcpi_retransmits,
        asked: info.tcpi_probes,
    })
}
