//! The control socket as a file: who may use it, and who takes its place.
//!
//! * Only its owner: the socket has mode 0600 before anyone can connect, a directory made for it 0700.
//! * A socket without a daemon behind it, left by a crash, is replaced; one that answers never is. Two daemons
//!   that start at once decide this one after the other, under a lock on the directory.
//! * Anything else at the path is left alone.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::directory::create_private;
use crate::failure::Failure;

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket in the file system; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the control socket");
        }
    }
}

/// Makes the socket and listens on it. The listener does not block.
///
/// # Errors
/// Where another daemon answers at the path, or something else than a socket is there, or the system refuses.
pub(super) fn listen(path: &Path) -> Result<(SocketFile, UnixListener), Failure> {
    let cannot = |error: io::Error| {
        Failure::new(format!("cannot listen on {}: {error}", path.display()))
            .with_hint("name a socket that you may make with --control PATH")
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    create_private(directory).map_err(|error| {
        Failure::new(format!("cannot make the directory {}: {error}", directory.display()))
            .with_hint("name a socket that you may make with --control PATH")
    })?;
    let _lock = lock(directory).map_err(cannot)?;
    clear(path)?;
    bind(path).map_err(cannot)
}

/// Held, it keeps other daemons from deciding about a socket in this directory.
fn lock(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = rustix::fs::open(directory, flags, Mode::empty())?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let cannot = |error: io::Error| {
        Failure::new(format!("cannot use {shown}: {error}")).with_hint_if_denied(
            &error,
            "it is another user's; name another path with --control PATH",
        )
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            return Err(Failure::new(format!("{shown} is there already and is no socket"))
                .with_hint("name another path with --control PATH"));
        }
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Failure::new(format!("another daemon answers at {shown} already"))
            .with_hint("stop it, or give this one another socket with --control PATH")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %shown, "replacing a control socket without a daemon");
            fs::remove_file(path).map_err(cannot)
        }
        Err(error) => Err(cannot(error)),
    }
}

fn bind(path: &Path) -> io::Result<(SocketFile, UnixListener)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile(path.to_owned());
    // Between bind and listen nobody can connect, so nobody does before the mode is right.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((file, socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_connect() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        let (file, _listener) = listen(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_is_refused_and_a_stale_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let (file, listener) = listen(&path).unwrap();
        let refused = listen(&path).unwrap_err();
        assert!(refused.message().contains("another daemon answers at"), "{refused}");
        UnixStream::connect(&path).expect("the first one still listens");

        drop(listener);
        std::mem::forget(file);
        assert!(path.exists(), "as after a crash");
        let (_file, _listener) = listen(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        fs::write(&path, "mine").unwrap();
        let refused = listen(&path).unwrap_err();
        assert!(refused.message().ends_with("is there already and is no socket"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
