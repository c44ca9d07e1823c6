//! The kernel's NBD client, asked over generic netlink.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use hotbay_nbd::TransmissionFlags;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::{GenlCtrlAttrs, McastGrpAttrs};
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::NbdDevice;
use super::attributes::{Attribute, Command, FAMILY, NEWS_GROUP, Request, Told};

/// What the kernel is to make a device of.
#[derive(Debug)]
pub(crate) struct NewDevice<'a> {
    /// Which one; the kernel chooses where it is missing.
    pub(crate) device: Option<NbdDevice>,
    /// A connection after its negotiation.
    pub(crate) socket: BorrowedFd<'a>,
    pub(crate) size_bytes: u64,
    pub(crate) flags: TransmissionFlags,
    /// How long requests wait when the connection is dead.
    pub(crate) dead_link: Duration,
    pub(crate) identifier: &'a str,
}

/// The size of a logical block: that of a disk, so that a partition table means the same here as on the medium.
const BLOCK_BYTES: u64 = 512;

/// The family's requests, and its news.
pub(crate) struct NbdKernel {
    requests: Socket,
    /// A socket of its own, so that no news come between a request and its answer.
    news: Socket,
    family: u16,
    sequence: u32,
}

impl std::fmt::Debug for NbdKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NbdKernel").field("family", &self.family).finish_non_exhaustive()
    }
}

impl NbdKernel {
    /// Finds the family and listens to its news. The module is loaded where the kernel can do that.
    ///
    /// # Errors
    /// `NotFound` where the kernel has no NBD client.
    pub(crate) fn open() -> io::Result<Self> {
        let requests = socket()?;
        let mut controller = Self { requests, news: socket()?, family: 0, sequence: 0 };
        let (family, group) = controller.resolve()?;
        controller.news.add_membership(group)?;
        Ok(Self { family, ..controller })
    }

    /// The number of the family and that of the group of its news.
    fn resolve(&mut self) -> io::Result<(u16, u32)> {
        let payload = GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.to_owned())],
        };
        let told: Option<GenlCtrl> = self.ask(GenlMessage::from_payload(payload))?;
        let (mut family, mut news) = (None, None);
        for attribute in told.map(|told| told.nlas).unwrap_or_default() {
            match attribute {
                GenlCtrlAttrs::FamilyId(id) => family = Some(id),
                GenlCtrlAttrs::McastGroups(groups) => {
                    news = groups.iter().find_map(|group| id_of(group))
                }
                _ => {}
            }
        }
        family.zip(news).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes a device; gives which. It takes requests when this returns.
    ///
    /// # Errors
    /// Those of the kernel: EBUSY for a device that is in use.
    pub(crate) fn connect(&mut self, new: &NewDevice<'_>) -> io::Result<NbdDevice> {
        let mut attributes = vec![
            Attribute::SizeBytes(new.size_bytes),
            Attribute::BlockBytes(BLOCK_BYTES),
            Attribute::AnswerSeconds(0),
            Attribute::DeadLinkSeconds(new.dead_link.as_secs().max(1)),
            Attribute::ServerFlags(new.flags.bits().into()),
            sockets(new.socket),
            Attribute::Identifier(new.identifier.to_owned()),
        ];
        attributes.extend(new.device.map(|device| Attribute::Index(device.index())));
        let told = self.request(Command::Connect, attributes)?;
        let index = told.and_then(|told| told.index).or(new.device.map(NbdDevice::index));
        index.map(NbdDevice::new).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Gives a device a socket in place of one that is dead. Where none is dead the kernel does not take it, and
    /// does not say so.
    ///
    /// # Errors
    /// EINVAL where the device has another identifier, or is not attached any more.
    pub(crate) fn reconnect(
        &mut self,
        device: NbdDevice,
        socket: BorrowedFd<'_>,
        identifier: &str,
        new_size_bytes: Option<u64>,
    ) -> io::Result<()> {
        let mut attributes = vec![
            Attribute::Index(device.index()),
            Attribute::Identifier(identifier.to_owned()),
            sockets(socket),
        ];
        if let Some(size_bytes) = new_size_bytes {
            attributes.push(Attribute::SizeBytes(size_bytes));
            attributes.push(Attribute::BlockBytes(BLOCK_BYTES));
        }
        self.request(Command::Reconfigure, attributes).map(drop)
    }

    /// Gives an attached device another size; whoever has it open goes on.
    ///
    /// # Errors
    /// EINVAL where the device has another identifier, or is not attached any more.
    pub(crate) fn resize(
        &mut self,
        device: NbdDevice,
        identifier: &str,
        size_bytes: u64,
    ) -> io::Result<()> {
        let attributes = vec![
            Attribute::Index(device.index()),
            Attribute::Identifier(identifier.to_owned()),
            Attribute::SizeBytes(size_bytes),
            Attribute::BlockBytes(BLOCK_BYTES),
        ];
        self.request(Command::Reconfigure, attributes).map(drop)
    }

    /// Lets a device go; whatever waits fails.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(crate) fn disconnect(&mut self, device: NbdDevice) -> io::Result<()> {
        self.request(Command::Disconnect, vec![Attribute::Index(device.index())]).map(drop)
    }

    /// Waits for the news that a device's connection is dead; `false` where there were none within `at_most`. Where
    /// news were missed it may be.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn link_died(&self, device: NbdDevice, at_most: Duration) -> io::Result<bool> {
        let timeout = rustix::event::Timespec::try_from(at_most).ok();
        let mut watched = [PollFd::new(&self.news, PollFlags::IN)];
        match poll(&mut watched, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let datagram = match self.news.recv_from_full() {
            Ok((datagram, _)) => datagram,
            Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let told = NetlinkMessage::<GenlMessage<Told>>::deserialize(&datagram);
        Ok(told.is_ok_and(|message| match message.payload {
            NetlinkPayload::InnerMessage(told) => {
                told.payload
                    == Told { command: Command::LinkDead as u8, index: Some(device.index()) }
            }
            _ => false,
        }))
    }

    fn request(
        &mut self,
        command: Command,
        attributes: Vec<Attribute>,
    ) -> io::Result<Option<Told>> {
        let mut message = GenlMessage::from_payload(Request { command, attributes });
        message.set_resolved_family_id(self.family);
        self.ask(message)
    }

    /// Sends a request; gives what was told before its acknowledgement.
    fn ask<Q, A>(&mut self, request: GenlMessage<Q>) -> io::Result<Option<A>>
    where
        Q: std::fmt::Debug,
        GenlMessage<Q>: NetlinkSerializable,
        GenlMessage<A>: NetlinkDeserializable,
        A: std::fmt::Debug,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.requests.send(&bytes, 0)?;
        let mut told = None;
        loop {
            let (datagram, _) = self.requests.recv_from_full()?;
            let answer = NetlinkMessage::<GenlMessage<A>>::deserialize(&datagram)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) => return Ok(told),
                NetlinkPayload::InnerMessage(message) => told = Some(message.into_parts().1),
                _ => {}
            }
        }
    }
}

fn socket() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn id_of(group: &[McastGrpAttrs]) -> Option<u32> {
    let is_news =
        |attribute: &McastGrpAttrs| *attribute == McastGrpAttrs::Name(NEWS_GROUP.to_owned());
    let id = group.iter().find_map(|attribute| match attribute {
        McastGrpAttrs::Id(id) => Some(*id),
        McastGrpAttrs::Name(_) => None,
    });
    id.filter(|_| group.iter().any(is_news))
}

fn sockets(socket: BorrowedFd<'_>) -> Attribute {
    let fd = socket.as_fd().as_raw_fd();
    Attribute::Sockets(vec![u32::try_from(fd).expect("an open descriptor is not negative")])
}
