//! A medium belongs to one volume of one daemon; who comes second is told who was first.

use std::fs::File;
use std::path::Path;

use hotbay_block::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, Stat};
use rustix::io::Errno;

/// Locks `file`, which is at `path`, until it is [released](release) or closed.
///
/// # Errors
/// [`ErrorKind::Medium`] where another descriptor holds the lock, with the process if it can be told.
pub(crate) fn take(file: &File, path: &Path) -> Result<()> {
    let shown = path.display();
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            let by = rustix::fs::fstat(file).ok().and_then(|stat| holder(&stat));
            let by = by.map_or_else(|| "another process".into(), |id| process_name(&id));
            Err(Error::new(ErrorKind::Medium, format!("{shown} is in use by {by}")))
        }
        Err(errno) => Err(Error::new(ErrorKind::Medium, format!("cannot lock {shown}"))
            .caused_by(std::io::Error::from(errno))),
    }
}

/// Lets go of the lock, if there is one.
pub(crate) fn release(file: &File) {
    // Where it cannot be released it is with the close.
    let _ = rustix::fs::flock(file, FlockOperation::NonBlockingUnlock);
}

/// The error for a block device that the kernel does not give to one user alone.
pub(crate) fn device_in_use(path: &Path, number: u64) -> Error {
    let shown = path.display();
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let context = match mounted_on(&mounts, &number) {
        Some(place) => format!("{shown} is mounted on {place}"),
        None => format!(
            "{shown} is in use: mounted, swapped to, part of another device, or the medium of another hotbay"
        ),
    };
    Error::new(ErrorKind::Medium, context)
}

/// Where the device is mounted, by the lines of `/proc/self/mountinfo`.
fn mounted_on<'a>(mounts: &'a str, number: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(2);
        (fields.next()? == number).then(|| fields.nth(1)).flatten()
    })
}

/// The number of the process that has the lock, by the lines of `/proc/locks`.
fn holder(stat: &Stat) -> Option<String> {
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let file = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, _, process, place, ..] if place == file => Some(process.into()),
            _ => None,
        }
    })
}

fn process_name(id: &str) -> String {
    if id.parse() == Ok(std::process::id()) {
        return "this daemon already".into();
    }
    match std::fs::read_to_string(format!("/proc/{id}/comm")) {
        Ok(name) => format!("process {id} ({})", name.trim_end()),
        Err(_) => format!("process {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_lock_is_told_who_was_first() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (first, second) = (file.reopen().unwrap(), file.reopen().unwrap());
        take(&first, file.path()).unwrap();
        let error = take(&second, file.path()).unwrap_err().to_string();
        assert!(error.ends_with("is in use by this daemon already"), "{error}");
        drop(first);
        take(&second, file.path()).unwrap();
    }

    #[test]
    fn a_mounted_device_is_found_by_its_number() {
        let mounts = "22 1 254:0 / / rw,noatime - ext4 /dev/root rw\n\
                      30 22 8:17 / /mnt/stick rw - vfat /dev/sdb1 rw\n";
        assert_eq!(mounted_on(mounts, "8:17"), Some("/mnt/stick"));
        assert_eq!(mounted_on(mounts, "8:1"), None);
    }
}
