//! How a person names what is attached: by its device, by a link to that, or by its export.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::NbdDevice;
use crate::config::Name;
use crate::failure::Failure;

/// What a command line has in place of something that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attached {
    /// `/dev/nbd0` or `nbd0`.
    Device(NbdDevice),
    /// Another path, such as `/dev/hotbay/usb`.
    Path(PathBuf),
    /// An export's name.
    Export(Name),
}

impl FromStr for Attached {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(device) => Ok(Self::Device(device)),
            Err(_) if text.starts_with('/') => Ok(Self::Path(text.into())),
            Err(_) => text.parse().map(Self::Export),
        }
    }
}

impl Attached {
    /// The device that is meant; it need not be attached where it was named itself.
    ///
    /// # Errors
    /// Where nothing is attached to the export, or more than one device is; where the path leads elsewhere.
    pub(crate) fn device(&self) -> Result<NbdDevice, Failure> {
        match self {
            Self::Device(device) => Ok(*device),
            Self::Path(path) => behind(path),
            Self::Export(export) => the_only_one(&export.to_string()),
        }
    }
}

fn behind(path: &Path) -> Result<NbdDevice, Failure> {
    let shown = path.display();
    let real = path
        .canonicalize()
        .map_err(|error| Failure::new(format!("{shown}: {error}")).with_hint(LIST))?;
    let device = real.to_str().and_then(|real| real.parse().ok());
    device.ok_or_else(|| Failure::new(format!("{shown} is no NBD device")).with_hint(LIST))
}

fn the_only_one(export: &str) -> Result<NbdDevice, Failure> {
    match NbdDevice::attached_to(export).as_slice() {
        [device] => Ok(*device),
        [] => Err(Failure::new(format!("no device is attached to {export}")).with_hint(LIST)),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::new(format!("several devices are attached to {export}"))
                .with_hint(format!("name one of {}", several.join(", "))))
        }
    }
}

const LIST: &str = "'hotbay attach --list' shows what is attached";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_people_write_it() {
        let parse = |text: &str| text.parse::<Attached>();
        assert_eq!(parse("/dev/nbd3"), Ok(Attached::Device(NbdDevice::new(3))));
        assert_eq!(parse("/dev/hotbay/usb"), Ok(Attached::Path("/dev/hotbay/usb".into())));
        assert_eq!(parse("usb"), Ok(Attached::Export("usb".parse().unwrap())));
        assert!(parse("a/b").is_err());
        let elsewhere = behind(Path::new("/dev/null")).unwrap_err();
        assert_eq!(elsewhere.message(), "/dev/null is no NBD device");
    }
}
