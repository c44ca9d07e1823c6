//! What is attached: told by the daemon with each connection, and kept by the kernel with the device.

use std::fmt;

use hotbay_server::ListenAddress;
use uuid::Uuid;

/// One content of one volume. Two connections that tell the same may take each other's place under a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentId {
    /// The volume's own identity.
    pub(crate) id: [u8; 16],
    /// The number of its content.
    pub(crate) content: u64,
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {}.{}", Uuid::from_bytes(self.id), self.content)
    }
}

impl ContentId {
    /// The one that ends an export's description; `None` where it tells none.
    pub(crate) fn in_description(description: &str) -> Option<Self> {
        Self::from_words(description.rsplit(", ").next()?.strip_prefix("id ")?)
    }

    fn from_words(text: &str) -> Option<Self> {
        let (id, content) = text.split_once('.')?;
        let id = Uuid::try_parse(id).ok()?.into_bytes();
        Some(Self { id, content: content.parse().ok()? })
    }
}

/// One attachment: the kernel refuses to reconnect a device under another identifier, and shows it in sysfs, where it
/// survives the resident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttachmentId {
    /// Tells this attachment from an earlier one of the same export.
    pub(crate) nonce: Uuid,
    /// What is attached.
    pub(crate) content: ContentId,
    /// The export's name, which has no space.
    pub(crate) export: String,
    /// Where the daemon is.
    pub(crate) server: ListenAddress,
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nonce, content, export, server } = self;
        write!(f, "hotbay {nonce} {content} {export} {server}")
    }
}

impl AttachmentId {
    /// Reads what sysfs shows; `None` for a device that another program attached.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("hotbay ")?.splitn(5, ' ');
        let nonce = Uuid::try_parse(words.next()?).ok()?;
        let content = words.next().filter(|word| *word == "id").and_then(|_| words.next())?;
        let content = ContentId::from_words(content)?;
        let export = words.next()?.to_owned();
        Some(Self { nonce, content, export, server: words.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_the_content() {
        let id = ContentId { id: [0xAB; 16], content: 7 };
        let told = format!("volume usb, 64 MiB, {id}");
        assert_eq!(ContentId::in_description(&told), Some(id));
        for text in ["", "volume usb", "volume usb, id 7", "a disk, id abababab.1"] {
            assert_eq!(ContentId::in_description(text), None, "{text}");
        }
    }

    #[test]
    fn an_attachment_is_read_as_it_is_written() {
        let id = AttachmentId {
            nonce: Uuid::from_bytes([1; 16]),
            content: ContentId { id: [2; 16], content: 0 },
            export: "usb".to_owned(),
            server: "unix:/run/with a space/nbd.sock".parse().unwrap(),
        };
        assert_eq!(AttachmentId::parse(&id.to_string()), Some(id));
        for text in ["", "hotbay", "/dev/sda", "hotbay x id y usb unix:/a"] {
            assert_eq!(AttachmentId::parse(text), None, "{text}");
        }
    }
}
