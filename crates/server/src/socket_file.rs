//! The file of a Unix socket: made so that nobody else ever gets in, and taken away when it is done.
//!
//! The socket is bound under a passing name in the same directory, restricted to its owner, told to listen, and
//! then renamed to its name. So at no time
//! * can a stranger connect: before `listen` nobody can, and then the mode is 0600 already;
//! * is the name missing while a stale socket is replaced.
//!
//! Servers that start at the same moment exclude one another by a lock on the directory.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections that the system accepts before the server does; it takes less where its own bound is lower.
const BACKLOG: i32 = 1024;

/// Why a socket file is not made.
#[derive(Debug)]
pub(crate) enum Refused {
    InUse,
    NotASocket,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// The file of a socket that is listened on. Dropping it removes the file, if it still is the same one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Listens at `path`; replaces the socket of a server that is dead, and not one that is alive.
    pub(crate) fn listen(path: &Path) -> Result<(UnixListener, Self), Refused> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let _lock = lock(directory)?;
        refuse_occupied(path)?;
        let (listener, passing) = listen_under_passing_name(directory)?;
        let file = fs::symlink_metadata(&passing).and_then(|metadata| {
            fs::rename(&passing, path)?;
            let (device, inode) = (metadata.dev(), metadata.ino());
            Ok(Self { path: path.to_owned(), device, inode })
        });
        match file {
            Ok(file) => Ok((listener, file)),
            Err(error) => {
                remove(&passing);
                Err(error.into())
            }
        }
    }

    fn is_still_ours(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_still_ours() {
            remove(&self.path);
        }
    }
}

/// Keeps other servers from looking at, or making, socket files in the directory.
///
/// Somebody else may hold a lock on it for good, for a reason of their own, so it is not waited for: then two
/// servers that start at the same moment, for the same path, are not kept apart.
fn lock(directory: &Path) -> io::Result<fs::File> {
    let directory = fs::File::open(directory)?;
    if let Err(error) = flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        tracing::debug!(%error, "the directory of the socket is not locked");
    }
    Ok(directory)
}

fn refuse_occupied(path: &Path) -> Result<(), Refused> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(Refused::NotASocket),
        Ok(_) => {}
    }
    // Does not wait: the backlog of a server that is alive may be full.
    let probe = new_socket()?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) {
        // Nobody listens: what a server that was killed leaves behind.
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        // Accepted, a full backlog, or a socket of somebody else: it is alive.
        Ok(()) | Err(_) => Err(Refused::InUse),
    }
}

fn listen_under_passing_name(directory: &Path) -> Result<(UnixListener, PathBuf), Refused> {
    let socket = new_socket()?;
    let passing = bind_to_new_name(&socket, directory)?;
    let listening = fs::set_permissions(&passing, fs::Permissions::from_mode(0o600))
        .and_then(|()| Ok(rustix::net::listen(&socket, BACKLOG)?));
    match listening {
        Ok(()) => Ok((socket.into(), passing)),
        Err(error) => {
            remove(&passing);
            Err(error.into())
        }
    }
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Binds to a name that nobody has yet.
fn bind_to_new_name(socket: &OwnedFd, directory: &Path) -> Result<PathBuf, Refused> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".{process:x}.{number:x}"));
        match rustix::net::bind(socket, &SocketAddrUnix::new(&path)?) {
            Ok(()) => return Ok(path),
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "cannot remove the socket");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn it_is_for_its_owner_alone_and_goes_when_it_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let (_listener, file) = SocketFile::listen(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(directory.path()), ["s"], "no passing name is left");
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, _file) = SocketFile::listen(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(matches!(SocketFile::listen(&path), Err(Refused::InUse)));
        UnixStream::connect(&path).unwrap();
        assert_eq!(names(directory.path()), ["s"]);
    }

    #[test]
    fn a_live_socket_with_a_full_backlog_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = new_socket().unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        assert!(matches!(SocketFile::listen(&path), Err(Refused::InUse)));
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(SocketFile::listen(&path), Err(Refused::NotASocket)));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_file_that_is_not_ours_any_more_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let (_listener, file) = SocketFile::listen(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "of another").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
