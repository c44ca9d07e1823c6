//! The kernel's `nbd` family of generic netlink as bytes (`linux/nbd-netlink.h`).

use netlink_packet_core::{
    DecodeError, Emitable, NLA_F_NESTED, Nla, NlasIterator, ParseableParametrized, emit_u32,
    emit_u64, parse_u32,
};
use netlink_packet_generic::{GenlHeader, traits::GenlFamily};

/// The family's name.
pub(super) const FAMILY: &str = "nbd";
/// The group to which dead connections are told.
pub(super) const NEWS_GROUP: &str = "nbd_mc_group";
const VERSION: u8 = 1;
const INDEX: u16 = 1;
/// In a list of sockets: an item, and in it the descriptor.
const SOCKET_ITEM: u16 = 1;
const SOCKET_FD: u16 = 1;

/// What is asked of the kernel, or told by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Make a device of sockets.
    Connect = 1,
    /// Let a device go.
    Disconnect = 2,
    /// Give a device sockets in place of dead ones.
    Reconfigure = 3,
    /// A device's connection has died.
    LinkDead = 4,
}

/// A setting in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// Which device; without it the kernel chooses.
    Index(u32),
    /// The device's size.
    SizeBytes(u64),
    /// Its logical block.
    BlockBytes(u64),
    /// After how long without an answer a request fails, or its connection; 0 for never.
    AnswerSeconds(u64),
    /// The transmission flags.
    ServerFlags(u64),
    /// The descriptors of connected sockets.
    Sockets(Vec<u32>),
    /// How long requests wait for another socket when theirs is dead.
    DeadLinkSeconds(u64),
    /// Must be the same in every request about the device.
    Identifier(String),
}

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Index(_) => 4,
            Self::Sockets(sockets) => items(sockets).as_slice().buffer_len(),
            // The kernel wants no zero at its end, and bears one.
            Self::Identifier(text) => text.len() + 1,
            _ => 8,
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Index(_) => INDEX,
            Self::SizeBytes(_) => 2,
            Self::BlockBytes(_) => 3,
            Self::AnswerSeconds(_) => 4,
            Self::ServerFlags(_) => 5,
            Self::Sockets(_) => 7 | NLA_F_NESTED,
            Self::DeadLinkSeconds(_) => 8,
            Self::Identifier(_) => 10,
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        let fits = "the buffer has the length that was asked for";
        match self {
            Self::Index(value) => emit_u32(buffer, *value).expect(fits),
            Self::SizeBytes(value)
            | Self::BlockBytes(value)
            | Self::AnswerSeconds(value)
            | Self::ServerFlags(value)
            | Self::DeadLinkSeconds(value) => emit_u64(buffer, *value).expect(fits),
            Self::Sockets(sockets) => items(sockets).as_slice().emit(buffer),
            Self::Identifier(text) => {
                let (head, end) = buffer.split_at_mut(text.len());
                head.copy_from_slice(text.as_bytes());
                end.fill(0);
            }
        }
    }
}

fn items(sockets: &[u32]) -> Vec<SocketItem> {
    sockets.iter().copied().map(SocketItem).collect()
}

struct SocketItem(u32);

impl Nla for SocketItem {
    fn value_len(&self) -> usize {
        SocketFd(self.0).buffer_len()
    }

    fn kind(&self) -> u16 {
        SOCKET_ITEM | NLA_F_NESTED
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        SocketFd(self.0).emit(buffer);
    }
}

struct SocketFd(u32);

impl Nla for SocketFd {
    fn value_len(&self) -> usize {
        4
    }

    fn kind(&self) -> u16 {
        SOCKET_FD
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        emit_u32(buffer, self.0).expect("the buffer has the length that was asked for");
    }
}

/// A request to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) attributes: Vec<Attribute>,
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        // The numbers are those of the kernel.
        self.command as u8
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

/// What the kernel says: in answer to a request, or as news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) command: u8,
    /// Which device it is about.
    pub(super) index: Option<u32>,
}

impl ParseableParametrized<[u8], GenlHeader> for Told {
    fn parse_with_param(payload: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let mut told = Self { command: header.cmd, index: None };
        for attribute in NlasIterator::new(payload) {
            let attribute = attribute?;
            if attribute.kind() == INDEX {
                told.index = Some(parse_u32(attribute.value())?);
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    fn bytes(attribute: Attribute) -> Vec<u8> {
        let request = Request { command: Command::Connect, attributes: vec![attribute] };
        let mut buffer = vec![0xFF; request.buffer_len()];
        request.emit(&mut buffer);
        buffer
    }

    #[test]
    fn attributes_are_what_the_kernel_reads() {
        assert_eq!(bytes(Attribute::Index(3)), [8, 0, 1, 0, 3, 0, 0, 0]);
        assert_eq!(bytes(Attribute::DeadLinkSeconds(5)), [12, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(Attribute::Identifier("usb".into())), *b"\x08\0\x0a\0usb\0");
        assert_eq!(bytes(Attribute::Identifier("u".into())), *b"\x06\0\x0a\0u\0\0\0");
        let socket = |fd| [12, 0, 1, 0x80, 8, 0, 1, 0, fd, 0, 0, 0];
        let sockets = [&[28, 0, 7, 0x80][..], &socket(9), &socket(10)].concat();
        assert_eq!(bytes(Attribute::Sockets(vec![9, 10])), sockets);
    }

    #[test]
    fn news_tell_their_device() {
        let header = GenlHeader { cmd: Command::LinkDead as u8, version: 1 };
        let told = Told::parse_with_param(&[8, 0, 1, 0, 3, 0, 0, 0], header).unwrap();
        assert_eq!(told, Told { command: 4, index: Some(3) });
        for torn in [&[8, 0, 1, 0, 3][..], &[0, 0, 1, 0], &[5, 0, 1, 0, 3]] {
            assert!(Told::parse_with_param(torn, header).is_err(), "{torn:?}");
        }
    }
}
