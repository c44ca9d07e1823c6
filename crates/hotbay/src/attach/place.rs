//! One resident for one device: a file in `/run` that is locked as long as the resident lives, with its process id in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use uuid::Uuid;

use super::NbdDevice;
use crate::directory::create_private;

/// Not the daemon's own directory, which may be removed when the daemon stops.
const DIRECTORY: &str = "/run/hotbay-attach";
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Held by the resident of a device; let go when the process ends, in whatever way.
#[derive(Debug)]
pub(crate) struct Place {
    locked: File,
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
        let mut file = options.open(path(directory, device))?;
        let until = Instant::now() + patience;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if Instant::now() >= until {
                return Err(error.into());
            }
            pause(LOOK_AGAIN);
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { locked: file })
    }

    /// Notes that this attachment is over, though somebody may still have the device open: its requests have failed,
    /// and it must not be connected again.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn give_up(mut self, attachment: Uuid) -> io::Result<()> {
        writeln!(self.locked, "{attachment}")
    }
}

/// The process that is a device's resident; `None` where there is none.
pub(crate) fn holder(device: NbdDevice) -> Option<Pid> {
    holder_in(Path::new(DIRECTORY), device)
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
        place.give_up(one).unwrap();
        assert_eq!(holder_in(here, device), None);
        assert!(is_given_up_in(here, device, one) && !is_given_up_in(here, device, other));
        Place::take_in(here, device, Duration::ZERO).unwrap();
        assert!(!is_given_up_in(here, device, one), "another one has begun");
    }
}
