//! What the kernel tells when a device comes, goes or changes: the text of a uevent.
//!
//! `ACTION@DEVPATH`, and then `KEY=VALUE` for each thing that is said, all ended by a zero byte. One message is one uevent.

/// The longest message that is taken; the kernel makes none above 2 KiB of keys and a path in front.
pub(crate) const MESSAGE_MAX: usize = 8 << 10;

/// What happened to a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uevent {
    /// `add`, `remove`, `change`, …
    pub(crate) action: String,
    /// The name of its node, such as `sda1`.
    pub(crate) device: String,
}

/// Reads a message; `None` where it is about no block device, or is not whole, or is none. It may be any bytes.
pub(crate) fn parse(message: &[u8]) -> Option<Uevent> {
    // Without its end a value may be a part of another one.
    let message = message.strip_suffix(b"\0").filter(|message| message.len() < MESSAGE_MAX)?;
    let mut fields = message.split(|byte| *byte == 0);
    let (action, path) = split_at_byte(fields.next()?, b'@')?;
    let (mut said_action, mut subsystem, mut device) = (None, None, None);
    for field in fields {
        match split_at_byte(field, b'=')? {
            (b"ACTION", value) => said_action = Some(value),
            (b"SUBSYSTEM", value) => subsystem = Some(value),
            (b"DEVNAME", value) => device = Some(value),
            _ => {}
        }
    }
    if said_action != Some(action) || subsystem != Some(b"block") || !path.starts_with(b"/") {
        return None;
    }
    Some(Uevent { action: word(action)?, device: word(device?)? })
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|b| *b == byte)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

/// Text that may go to a log.
fn word(bytes: &[u8]) -> Option<String> {
    let is_plain = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    is_plain.then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REMOVED: &[u8] = b"remove@/devices/pseudo_0/host0/block/sda\0ACTION=remove\0\
        DEVPATH=/devices/pseudo_0/host0/block/sda\0SUBSYSTEM=block\0MAJOR=8\0MINOR=0\0DEVNAME=sda\0\
        DEVTYPE=disk\0DISKSEQ=9\0SEQNUM=1234\0";

    /// The message with `from` in it replaced.
    fn with(from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(REMOVED.to_vec()).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    }

    #[test]
    fn a_message_tells_what_happened_to_which_device() {
        let removed = Uevent { action: "remove".into(), device: "sda".into() };
        assert_eq!(parse(REMOVED), Some(removed));
        let other_keys = with("SEQNUM=1234", "SEQNUM=\0X==\0DISK_MEDIA_CHANGE=1");
        assert!(parse(&other_keys).is_some());
    }

    #[test]
    fn what_is_not_about_a_block_device_is_none() {
        for (from, to) in [
            ("SUBSYSTEM=block", "SUBSYSTEM=scsi"),
            ("SUBSYSTEM=block\0", ""),
            ("DEVNAME=sda\0", ""),
            ("DEVNAME=sda", "DEVNAME="),
            ("DEVNAME=sda", "DEVNAME=s\x1b[2Ja"),
            ("ACTION=remove", "ACTION=add"),
            ("remove@/devices", "remove@devices"),
            ("remove@", "libudev\0"),
            ("MAJOR=8", "MAJOR"),
        ] {
            assert_eq!(parse(&with(from, to)), None, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn no_part_of_a_message_is_taken_for_one() {
        let whole = parse(REMOVED);
        let device_end = with("DEVTYPE=disk\0DISKSEQ=9\0SEQNUM=1234\0", "").len();
        for length in 0..REMOVED.len() {
            let taken = parse(&REMOVED[..length]);
            let ends_with_a_field = length >= device_end && REMOVED[length - 1] == 0;
            assert_eq!(taken, whole.clone().filter(|_| ends_with_a_field), "{length} bytes");
        }
        let mut long = REMOVED.to_vec();
        long.extend_from_slice(&[b"K=".as_slice(), &[b'v'; MESSAGE_MAX], b"\0"].concat());
        assert_eq!(parse(&long), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), place in 0..300_usize, byte in any::<u8>()) {
            parse(&bytes);
            let mut changed = REMOVED.to_vec();
            if let Some(there) = changed.get_mut(place) {
                *there = byte;
            }
            parse(&changed);
        }
    }
}
