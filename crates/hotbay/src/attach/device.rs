//! `/dev/nbdN`, and what sysfs says of it.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use super::AttachmentId;

/// What sysfs counts sizes in, whatever the device's block is.
const SECTOR_BYTES: u64 = 512;

/// A device of the kernel's NBD client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NbdDevice(u32);

/// What a command line has in place of a device.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no NBD device; write /dev/nbd0")]
pub(crate) struct NoNbdDevice(String);

impl FromStr for NbdDevice {
    type Err = NoNbdDevice;

    fn from_str(text: &str) -> Result<Self, NoNbdDevice> {
        let number = text.strip_prefix("/dev/").unwrap_or(text).strip_prefix("nbd");
        let number = number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| NoNbdDevice(text.to_owned()))
    }
}

impl fmt::Display for NbdDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/nbd{}", self.0)
    }
}

impl NbdDevice {
    /// The one of this number.
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Its number.
    pub(crate) const fn index(self) -> u32 {
        self.0
    }

    /// All that there are, in the order of their numbers.
    ///
    /// # Errors
    /// Where sysfs cannot be read.
    pub(crate) fn all() -> io::Result<Vec<Self>> {
        let mut devices = Vec::new();
        for entry in fs::read_dir("/sys/block")? {
            devices.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Self>().ok()));
        }
        devices.sort_unstable();
        Ok(devices)
    }

    /// Those that hotbay attached, whichever daemon's, with what is attached to them.
    ///
    /// # Errors
    /// Where sysfs cannot be read.
    pub(crate) fn attachments() -> io::Result<Vec<(Self, AttachmentId)>> {
        let with_id = |device: Self| device.attachment().map(|id| (device, id));
        Ok(Self::all()?.into_iter().filter_map(with_id).collect())
    }

    /// Those that hotbay attached to an export, whichever daemon's; none where sysfs cannot be read.
    pub(crate) fn attached_to(export: &str) -> Vec<Self> {
        let attachments = Self::attachments().unwrap_or_default().into_iter();
        attachments.filter(|(_, id)| id.export == export).map(|(device, _)| device).collect()
    }

    /// Its node.
    pub(crate) fn path(self) -> PathBuf {
        PathBuf::from(self.to_string())
    }

    /// Its directory in sysfs.
    pub(crate) fn sysfs(self) -> PathBuf {
        PathBuf::from(format!("/sys/block/nbd{}", self.0))
    }

    /// Whether the kernel has it, attached or not.
    pub(crate) fn exists(self) -> bool {
        self.sysfs().exists()
    }

    /// Whether the kernel still keeps what an attachment is made of.
    pub(crate) fn is_attached(self) -> bool {
        self.sysfs().join("pid").exists()
    }

    /// The identifier of its attachment; `None` where it is not attached, or by a program that gave none.
    pub(crate) fn identifier(self) -> Option<String> {
        let text = fs::read_to_string(self.sysfs().join("backend")).ok()?;
        Some(text.trim_end_matches('\n').to_owned())
    }

    /// What is attached to it by hotbay.
    pub(crate) fn attachment(self) -> Option<AttachmentId> {
        AttachmentId::parse(&self.identifier()?)
    }

    /// How large it is in bytes; `None` where the kernel does not tell.
    pub(crate) fn size_bytes(self) -> Option<u64> {
        let sectors = fs::read_to_string(self.sysfs().join("size")).ok()?;
        sectors.trim().parse::<u64>().ok()?.checked_mul(SECTOR_BYTES)
    }

    /// Whether it has come to rest: not attached, of no size, nothing under way.
    pub(crate) fn is_quiet(self) -> bool {
        let read = |name: &str| fs::read_to_string(self.sysfs().join(name)).unwrap_or_default();
        !self.is_attached()
            && read("size").trim() == "0"
            && read("inflight").split_whitespace().all(|count| count == "0")
    }

    /// Tells udev to look at it and its partitions again, so that their links under `/dev/hotbay` come and go with the
    /// attachment. Where that is not possible there is nobody to tell.
    pub(crate) fn announce(self) {
        let _ = fs::write(self.sysfs().join("uevent"), "change");
        for entry in fs::read_dir(self.sysfs()).into_iter().flatten().flatten() {
            if entry.path().join("partition").exists() {
                let _ = fs::write(entry.path().join("uevent"), "change");
            }
        }
    }

    /// How often the kernel looks whether a request's connection is another one by now, and then asks again. It
    /// is the longest that requests go on waiting when the daemon is back.
    ///
    /// # Errors
    /// Those of sysfs.
    pub(crate) fn set_look_interval_ms(self, milliseconds: u32) -> io::Result<()> {
        fs::write(self.sysfs().join("queue/io_timeout"), milliseconds.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_people_write_it() {
        for text in ["/dev/nbd12", "nbd12"] {
            assert_eq!(text.parse::<NbdDevice>().unwrap().to_string(), "/dev/nbd12");
        }
        for text in ["", "/dev/sda", "/dev/nbd", "/dev/nbd0p1", "/dev/nbd+1", "/dev/nbd99999999999"]
        {
            let error = text.parse::<NbdDevice>().unwrap_err().to_string();
            assert!(error.ends_with("write /dev/nbd0"), "{error}");
        }
    }
}
