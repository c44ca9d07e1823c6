//! `/etc/hotbay/attach`: which export becomes which device, a line for each, as fstab has its file systems.

use std::path::Path;
use std::time::Duration;

use hotbay_server::ListenAddress;

use super::NbdDevice;
use crate::config::{Name, parse_duration, read_text};
use crate::failure::Failure;
use crate::nearest::nearest;

/// Where it is when nobody says where.
const DEFAULT: &str = "/etc/hotbay/attach";
const OPTIONS: [&str; 2] = ["server=", "wait-for-daemon="];

/// What a line says of an export; what it does not say is as on a command line that does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttachLine {
    /// The device; `None` for one that is free.
    pub(crate) device: Option<NbdDevice>,
    /// Where the daemon is.
    pub(crate) server: Option<ListenAddress>,
    /// How long the daemon may be away.
    pub(crate) wait_for_daemon: Option<Duration>,
}

/// The lines, in their order. One that is wrong is known as that, and is in the way of no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttachTable {
    lines: Vec<(String, Result<AttachLine, Failure>)>,
}

impl AttachTable {
    /// Reads a file. The default one may be missing.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, Failure> {
        match named {
            None if !Path::new(DEFAULT).exists() => Ok(Self::default()),
            _ => {
                let file = named.unwrap_or(Path::new(DEFAULT));
                Ok(Self::of(&file.display().to_string(), &read_text(file)?))
            }
        }
    }

    fn of(file: &str, text: &str) -> Self {
        let mut table = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(export) = words.next() else { continue };
            let said = table.line(export, words);
            let said = said.map_err(|(what, hint)| {
                let failure = Failure::new(format!("{file}:{}: {what}", number + 1));
                match hint {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            });
            table.lines.push((export.to_owned(), said));
        }
        table
    }

    /// One line behind its export, or what is wrong with it and what to write.
    fn line<'a>(
        &self,
        export: &str,
        mut words: impl Iterator<Item = &'a str>,
    ) -> Result<AttachLine, (String, Option<String>)> {
        export.parse::<Name>().map_err(|wrong| (wrong, None))?;
        if self.lines.iter().any(|(known, _)| known == export) {
            return Err((format!("there is a line for {export} above"), None));
        }
        let mut line = AttachLine::default();
        match words.next() {
            None | Some("-") => {}
            Some(device) => {
                line.device = Some(device.parse().map_err(|_| {
                    (format!("`{device}` is no NBD device"), Some(DEVICE_HINT.to_owned()))
                })?);
            }
        }
        if line.device.is_some() && self.all().any(|(_, known)| known.device == line.device) {
            return Err(("there is a line for this device above".to_owned(), None));
        }
        for option in words.next().into_iter().flat_map(|options| options.split(',')) {
            line.set(option)?;
        }
        match words.next() {
            None => Ok(line),
            Some(more) => Err((
                format!("`{more}` is one word too many"),
                Some("a line is EXPORT DEVICE OPTION,OPTION".to_owned()),
            )),
        }
    }

    /// The lines that can be understood.
    fn all(&self) -> impl Iterator<Item = (&str, &AttachLine)> {
        self.lines.iter().filter_map(|(export, line)| Some((export.as_str(), line.as_ref().ok()?)))
    }

    /// What it says of an export; nothing where no line is about it.
    ///
    /// # Errors
    /// Where its line is wrong.
    pub(crate) fn about(&self, export: &str) -> Result<AttachLine, Failure> {
        let line = self.lines.iter().find(|(known, _)| known == export);
        line.map_or_else(|| Ok(AttachLine::default()), |(_, line)| line.clone())
    }

    /// Its exports and whether their lines can be understood, in its order.
    pub(crate) fn exports(&self) -> impl Iterator<Item = (&str, Result<&AttachLine, &Failure>)> {
        self.lines.iter().map(|(export, line)| (export.as_str(), line.as_ref()))
    }
}

const DEVICE_HINT: &str = "write /dev/nbd0, or - for one that is free";

impl AttachLine {
    fn set(&mut self, option: &str) -> Result<(), (String, Option<String>)> {
        let wrong = |what: String| (format!("{option}: {what}"), None);
        match option.split_once('=') {
            Some(("server", address)) => {
                let address = address.parse::<ListenAddress>();
                self.server = Some(address.map_err(|error| wrong(error.to_string()))?);
            }
            Some(("wait-for-daemon", time)) => {
                self.wait_for_daemon = Some(parse_duration(time).map_err(wrong)?);
            }
            _ => {
                let key = option.split_inclusive('=').next().unwrap_or_default();
                let hint = match nearest(key, OPTIONS.into_iter()) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("there are {}", OPTIONS.join(", ")),
                };
                return Err((format!("there is no option {option}"), Some(hint)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_export_a_device_and_options() {
        let table = AttachTable::of(
            "t",
            "# EXPORT DEVICE OPTIONS\n\nusb\nb /dev/nbd0 # the first\n\
             c - server=unix:/run/c.sock,wait-for-daemon=1h\n",
        );
        assert_eq!(table.about("usb").unwrap(), AttachLine::default());
        assert_eq!(table.about("b").unwrap().device, Some(NbdDevice::new(0)));
        let line = AttachLine {
            device: None,
            server: Some("unix:/run/c.sock".parse().unwrap()),
            wait_for_daemon: Some(Duration::from_secs(3600)),
        };
        assert_eq!(table.about("c").unwrap(), line);
        assert_eq!(table.about("who").unwrap(), AttachLine::default());
    }

    #[test]
    fn a_wrong_line_says_what_to_write_and_is_in_no_others_way() {
        for (line, says, hint) in [
            ("a/b", "no name because of `/`", ""),
            ("usb /dev/sda", "`/dev/sda` is no NBD device", "/dev/nbd0"),
            ("usb - sever=unix:/x", "no option sever=unix:/x", "did you mean server="),
            ("usb - ro", "there is no option ro", "wait-for-daemon="),
            ("usb - wait-for-daemon=5", "wait-for-daemon=5: `5` is not a duration", ""),
            ("usb - server=/run/x", "unix:PATH", ""),
            ("usb - server=unix:/x defaults", "`defaults` is one word too many", "EXPORT"),
            ("fine", "there is a line for fine above", ""),
            ("usb /dev/nbd7", "a line for this device above", ""),
        ] {
            let table = AttachTable::of("t", &format!("fine /dev/nbd7\n{line}\nlast"));
            let wrong = table.exports().nth(1).unwrap().1.unwrap_err();
            assert!(wrong.message().starts_with("t:2: "), "{wrong}");
            assert!(wrong.message().contains(says), "{line}: {wrong}");
            assert!(wrong.hint().unwrap_or_default().contains(hint), "{line}: {wrong}");
            assert!(table.about("fine").is_ok() && table.about("last").is_ok());
        }
    }
}
