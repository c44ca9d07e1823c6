//! What `/sys` tells about a block device; all of it best effort.

use std::path::{Path, PathBuf};

/// A block device as `/sys/dev/block` shows it.
#[derive(Debug)]
pub(crate) struct SysDevice {
    /// Where its attributes are; a partition's is inside its disk's.
    directory: PathBuf,
}

impl SysDevice {
    /// The device with this number.
    pub(crate) fn find(major: u32, minor: u32) -> Option<Self> {
        Self::find_under(Path::new("/sys/dev/block"), major, minor)
    }

    fn find_under(root: &Path, major: u32, minor: u32) -> Option<Self> {
        let directory = root.join(format!("{major}:{minor}")).canonicalize().ok()?;
        Some(Self { directory })
    }

    /// Its size in bytes; 0 where a reader of cards has none in it.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        let sectors: u64 = attribute(&self.directory.join("size"))?.parse().ok()?;
        sectors.checked_mul(512)
    }

    /// Whether it is a spinning disk or behaves like one.
    pub(crate) fn is_rotational(&self) -> bool {
        attribute(&self.disk().join("queue/rotational")).as_deref() == Some("1")
    }

    /// What the hardware says it is: `wwn:…`, `serial:…`, `usb:VENDOR:PRODUCT:SERIAL`, `dm:…`, `md:…`, with
    /// the number of the partition where it is one.
    pub(crate) fn hardware(&self) -> Option<String> {
        let disk = self.disk();
        let first = |prefix: &str, names: &[&str]| {
            let found = names.iter().find_map(|name| attribute(&disk.join(name)))?;
            Some(format!("{prefix}:{found}"))
        };
        let name = first("wwn", &["device/wwid", "wwid"])
            .or_else(|| first("dm", &["dm/uuid"]))
            .or_else(|| first("md", &["md/uuid"]))
            .or_else(|| first("serial", &["serial", "device/serial"]))
            .or_else(|| usb_serial(disk))?;
        match attribute(&self.directory.join("partition")) {
            Some(number) => Some(format!("{name}-part{number}")),
            None => Some(name),
        }
    }

    fn disk(&self) -> &Path {
        let is_partition = self.directory.join("partition").exists();
        self.directory.parent().filter(|_| is_partition).unwrap_or(&self.directory)
    }
}

/// Sticks and card readers seldom have a name of their own as a disk, but the USB device above often has a
/// serial number.
fn usb_serial(disk: &Path) -> Option<String> {
    disk.ancestors().find_map(|above| {
        let vendor = attribute(&above.join("idVendor"))?;
        let product = attribute(&above.join("idProduct"))?;
        let serial = attribute(&above.join("serial"))?;
        Some(format!("usb:{vendor}:{product}:{serial}"))
    })
}

/// The one line of an attribute, with inner runs of blanks joined; `None` where it is missing or says
/// nothing.
fn attribute(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == '\0')
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn device(attributes: &[(&str, &str)], directory: &str) -> (tempfile::TempDir, SysDevice) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in attributes {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(root.path().join("dev")).unwrap();
        std::os::unix::fs::symlink(root.path().join(directory), root.path().join("dev/8:1"))
            .unwrap();
        let device = SysDevice::find_under(&root.path().join("dev"), 8, 1).unwrap();
        (root, device)
    }

    #[test]
    fn a_disk_is_named_by_its_strongest_sign() {
        let (_root, disk) = device(
            &[
                ("sda/device/wwid", "naa.5000c500a1b2c3d4\n"),
                ("sda/serial", "S1\n"),
                ("sda/size", "2048\n"),
                ("sda/queue/rotational", "1\n"),
            ],
            "sda",
        );
        assert_eq!(disk.hardware().as_deref(), Some("wwn:naa.5000c500a1b2c3d4"));
        assert_eq!(disk.size_bytes(), Some(1 << 20));
        assert!(disk.is_rotational());
    }

    #[test]
    fn a_partition_has_the_name_of_its_disk_and_a_number() {
        let (_root, partition) = device(
            &[
                ("vda/serial", "  SER   IAL \n"),
                ("vda/queue/rotational", "1\n"),
                ("vda/vda2/partition", "2\n"),
                ("vda/vda2/size", "8\n"),
            ],
            "vda/vda2",
        );
        assert_eq!(partition.hardware().as_deref(), Some("serial:SER IAL-part2"));
        assert_eq!(partition.size_bytes(), Some(4096));
        assert!(partition.is_rotational());
    }

    #[test]
    fn a_stick_is_named_by_the_usb_device_above() {
        let (_root, stick) = device(
            &[
                ("usb/idVendor", "0781\n"),
                ("usb/idProduct", "5567\n"),
                ("usb/serial", "4C53\n"),
                ("usb/host/sdb/size", "0\n"),
                ("usb/host/sdb/device/wwid", "\n"),
            ],
            "usb/host/sdb",
        );
        assert_eq!(stick.hardware().as_deref(), Some("usb:0781:5567:4C53"));
        assert_eq!(stick.size_bytes(), Some(0));
        assert!(!stick.is_rotational());
    }

    #[test]
    fn a_device_that_says_nothing_has_no_name() {
        let (_root, disk) = device(&[("loop0/size", "16\n")], "loop0");
        assert_eq!(disk.hardware(), None);
    }
}
