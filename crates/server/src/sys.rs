//! System calls that the safe bindings do not offer.
#![expect(
    unsafe_code,
    reason = "neither what the kernel knows of a TCP connection nor a receive into tokio's buffer has a safe binding"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::ReadBuf;

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

/// Receives what is there, up to the room in the buffer, without waiting; nothing at the end of the stream.
///
/// # Errors
/// Those of `recv(2)`; of the kind `WouldBlock` where nothing is there.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    // SAFETY: nothing but `recv` writes there, and only bytes.
    let room = unsafe { buffer.unfilled_mut() };
    let ((received, _), _) = recv(socket, room, RecvFlags::DONTWAIT)?;
    let count = received.len();
    // SAFETY: the kernel has written so many bytes to the front of the room.
    unsafe { buffer.assume_init(count) };
    buffer.advance(count);
    Ok(())
}
