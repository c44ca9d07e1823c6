//! The kernel's news of devices, as it happens: its uevents, over netlink.
//!
//! News are a hint that it is time to look, and nothing else: what is true is found by looking. So news that were
//! missed, because more came than the socket holds, are one piece of news like any other.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};
use tokio::io::unix::AsyncFd;

use crate::sys;
use crate::uevent::{self, MESSAGE_MAX};

/// The group in which the kernel itself speaks; udev repeats what it says in another one.
const KERNEL_GROUP: u32 = 1;

/// What the socket holds until it is read: the news of some hundred devices at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Listens to what the kernel tells of block devices that come, go or change.
#[derive(Debug)]
pub struct DeviceNews {
    socket: AsyncFd<OwnedFd>,
}

impl DeviceNews {
    /// Begins to listen; what happens from now on is told. Needs no rights.
    ///
    /// In a container nothing may be told: see [`is_heard_here`](Self::is_heard_here).
    ///
    /// # Errors
    /// Where there is no netlink, as where a sandbox keeps it away.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O driver.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(netlink::KOBJECT_UEVENT),
        )?;
        // Best effort: with less room more is missed, which is noticed.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES));
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self { socket: sys::readable(socket)? })
    }

    /// Whether the kernel tells its news here: not in a user namespace other than the first one.
    #[must_use]
    pub fn is_heard_here() -> bool {
        /// `PROC_USER_INIT_INO` of the kernel.
        const FIRST_NAMESPACE: u64 = 0xEFFF_FFFD;
        rustix::fs::stat("/proc/self/ns/user").is_ok_and(|stat| stat.st_ino == FIRST_NAMESPACE)
    }

    /// Waits until a block device has come, gone or changed; says what the kernel said, for a log. May be dropped and
    /// called again, and nothing is lost.
    ///
    /// # Errors
    /// Where the socket is broken.
    pub async fn next(&self) -> io::Result<String> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| receive(socket.get_ref())) {
                Ok(Ok(Heard::Nothing)) | Err(_) => {}
                Ok(Ok(Heard::News(news))) => return Ok(news),
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

/// What a message was.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// About something else, or from somebody else.
    Nothing,
    News(String),
}

fn receive(socket: &OwnedFd) -> io::Result<Heard> {
    let mut message = [0; MESSAGE_MAX];
    match rustix::net::recvfrom(socket, &mut message[..], RecvFlags::TRUNC) {
        Ok((_, length, from)) => {
            let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            Ok(judge(message.get(..length), from))
        }
        Err(errno) => without_message(errno),
    }
}

fn without_message(errno: Errno) -> io::Result<Heard> {
    match errno {
        // Whatever was missed, a look finds it.
        Errno::NOBUFS => Ok(Heard::News("more news than could be kept".into())),
        Errno::INTR => Ok(Heard::Nothing),
        errno => Err(errno.into()),
    }
}

/// `message` is missing where it was longer than any of the kernel's.
///
/// Nobody but the kernel has the port number 0, which it writes itself into every message's address, so no process
/// can pretend to be it. (Who sends to one listener alone is not the kernel either, whatever it says.)
fn judge(message: Option<&[u8]>, from: Option<SocketAddrNetlink>) -> Heard {
    let is_the_kernel = from.is_some_and(|from| from.pid() == 0 && from.groups() == KERNEL_GROUP);
    let told = message.filter(|_| is_the_kernel).and_then(uevent::parse);
    told.map_or(Heard::Nothing, |told| Heard::News(format!("{} {}", told.action, told.device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDED: &[u8] = b"add@/devices/sda\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda\0";

    #[test]
    fn only_the_kernel_is_believed() {
        let kernel = Some(SocketAddrNetlink::new(0, KERNEL_GROUP));
        assert_eq!(judge(Some(ADDED), kernel), Heard::News("add sda".into()));
        assert_eq!(judge(Some(b"x"), kernel), Heard::Nothing);
        assert_eq!(judge(None, kernel), Heard::Nothing);
        for stranger in [
            Some(SocketAddrNetlink::new(4711, KERNEL_GROUP)),
            Some(SocketAddrNetlink::new(0, 0)),
            Some(SocketAddrNetlink::new(0, 2)),
            None,
        ] {
            assert_eq!(judge(Some(ADDED), stranger), Heard::Nothing, "{stranger:?}");
        }
    }

    #[test]
    fn news_that_were_missed_are_news() {
        assert!(matches!(without_message(Errno::NOBUFS).unwrap(), Heard::News(_)));
        assert_eq!(without_message(Errno::INTR).unwrap(), Heard::Nothing);
        without_message(Errno::BADF).unwrap_err();
    }

    /// A process with the rights to can send such a message to a listener; it is not the kernel for that.
    #[tokio::test]
    async fn what_a_process_sends_is_not_heard() {
        let Ok(news) = DeviceNews::open() else {
            eprintln!("SKIPPED: there is no netlink here");
            return;
        };
        let own = rustix::net::getsockname(news.socket.get_ref()).unwrap();
        let own = SocketAddrNetlink::try_from(own).unwrap();
        let sender = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::KOBJECT_UEVENT),
        )
        .unwrap();
        let to = SocketAddrNetlink::new(own.pid(), 0);
        let sent = rustix::net::sendto(&sender, ADDED, rustix::net::SendFlags::empty(), &to);
        match sent {
            Ok(_) => assert_eq!(receive(news.socket.get_ref()).unwrap(), Heard::Nothing),
            Err(errno) => assert!(matches!(errno, Errno::PERM | Errno::CONNREFUSED), "{errno}"),
        }
        assert_eq!(receive(news.socket.get_ref()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
