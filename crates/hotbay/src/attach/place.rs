//! One resident for one device: a file in `/run` that is locked as long as the resident lives, with its process id in it,
//! and a second line while the device waits for the daemon, or once the attachment was given up.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use uuid::Uuid;

use super::NbdDevice;
use crate::directory::create_private;

/// Not the daemon's own directory, which may be removed when the daemon stops.
const DIRECTORY: &str = "/run/hotbay-attach";
/// The second line while the connection is dead.
const WAITING: &str = "waiting";
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Held by the resident of a device; let go when the process ends, in whatever way.
#[derive(Debug)]
pub(crate) struct Place {
    locked: File,
    /// The length of the line with the process id.
    pid_bytes: u64,
}

impl Place {
    /// Takes the place of a device's resident, waiting for an earlier one to end.
    ///
    /// # Errors
    /// `WouldBlock` where another one still has it after `patience`; those of the file system.
    pub(crate) fn take(device: NbdDevice, patience: Duration) -> io::Result<Self> {
        Self::take_in(Path::new(DIRECTORY), device, patience)
    }

    fn take_in(directory: &Path, device: NbdDevice, patience: Duration) -> io::Result<Self> {
        create_private(directory)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path(directory, device))?;
        let until = Instant::now() + patience;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if Instant::now() >= until {
                return Err(error.into());
            }
            pause(LOOK_AGAIN);
        }
        file.set_len(0)?;
        let pid = format!("{}\n", std::process::id());
        file.write_all_at(pid.as_bytes(), 0)?;
        Ok(Self { locked: file, pid_bytes: pid.len() as u64 })
    }

    /// Notes that this attachment is over, though somebody may still have the device open: its requests have failed,
    /// and it must not be connected again.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn give_up(self, attachment: Uuid) -> io::Result<()> {
        self.second_line(&attachment.to_string())
    }

    /// Notes whether the device waits for the daemon.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn note_waiting(&self, waiting: bool) -> io::Result<()> {
        if waiting { self.second_line(WAITING) } else { self.locked.set_len(self.pid_bytes) }
    }

    fn second_line(&self, text: &str) -> io::Result<()> {
        self.locked.set_len(self.pid_bytes)?;
        self.locked.write_all_at(format!("{text}\n").as_bytes(), self.pid_bytes)
    }
}

/// The process that is a device's resident; `None` where there is none.
pub(crate) fn holder(device: NbdDevice) -> Option<Pid> {
    holder_in(Path::new(DIRECTORY), device)
}

/// Whether this user may see who the residents are: what they note is root's alone.
pub(crate) fn residents_are_seen() -> bool {
    match fs::read_dir(DIRECTORY) {
        Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        Ok(_) => true,
    }
}

/// Whether the resident of a device has said that it waits for the daemon. Of use only where there is a resident.
pub(crate) fn is_waiting(device: NbdDevice) -> bool {
    is_waiting_in(Path::new(DIRECTORY), device)
}

fn is_waiting_in(directory: &Path, device: NbdDevice) -> bool {
    let noted = fs::read_to_string(path(directory, device)).unwrap_or_default();
    noted.lines().nth(1) == Some(WAITING)
}

/// Whether the resident of this attachment has given it up.
pub(crate) fn is_given_up(device: NbdDevice, attachment: Uuid) -> bool {
    is_given_up_in(Path::new(DIRECTORY), device, attachment)
}

fn is_given_up_in(directory: &Path, device: NbdDevice, attachment: Uuid) -> bool {
    let noted = fs::read_to_string(path(directory, device)).unwrap_or_default();
    noted.lines().nth(1) == Some(attachment.to_string().as_str())
}

fn holder_in(directory: &Path, device: NbdDevice) -> Option<Pid> {
    let path = path(directory, device);
    let file = File::open(&path).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    Pid::from_raw(fs::read_to_string(&path).ok()?.lines().next()?.parse().ok()?)
}

fn path(directory: &Path, device: NbdDevice) -> PathBuf {
    directory.join(format!("nbd{}", device.index()))
}

/// Between two looks at what tells nobody that it has changed: a lock, sysfs.
pub(crate) fn pause(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "neither sysfs nor a lock can be waited for within a bound"
    )]
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_resident_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let (here, device) = (directory.path(), NbdDevice::new(0));
        assert_eq!(holder_in(here, device), None);
        let place = Place::take_in(here, device, Duration::ZERO).unwrap();
        let me = rustix::process::getpid();
        assert_eq!((holder_in(here, device), holder_in(here, NbdDevice::new(1))), (Some(me), None));
        let refused = Place::take_in(here, device, Duration::ZERO).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let (one, other) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        for waiting in [true, true, false, true] {
            place.note_waiting(waiting).unwrap();
            assert_eq!(is_waiting_in(here, device), waiting);
            assert_eq!(holder_in(here, device), Some(me));
        }
        place.give_up(one).unwrap();
        assert!(!is_waiting_in(here, device));
        assert_eq!(holder_in(here, device), None);
        assert!(is_given_up_in(here, device, one) && !is_given_up_in(here, device, other));
        Place::take_in(here, device, Duration::ZERO).unwrap();
        assert!(!is_given_up_in(here, device, one), "another one has begun");
    }
}
