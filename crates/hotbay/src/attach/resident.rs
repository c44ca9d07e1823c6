//! The process that stays: it makes the device, and keeps it connected for as long as it is attached.
//!
//! It must never wait for its own device: it keeps its memory, opens no file on the way, and is not to be chosen when
//! memory runs out. Its end leaves the device as it is; another one may take over.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::mm::MlockAllFlags;

use super::keeper::{Action, Event, Keeper};
use super::netlink::{NbdKernel, NewDevice};
use super::place::Place;
use super::upstream::{Link, connect};
use super::{AttachmentId, NbdDevice};

/// The kernel's own bound on waiting is longer than the resident's, which ends with everything failing at once.
const KERNEL_WAITS_LONGER: Duration = Duration::from_secs(5);
/// See [`NbdDevice::set_look_interval_ms`]. The kernel logs each request that it looks at.
const LOOK_INTERVAL_MS: u32 = 2000;
/// How long an earlier resident of the same device may take to notice that it has none any more.
const PREDECESSOR: Duration = Duration::from_secs(5);

/// What is to be attached.
#[derive(Debug)]
pub(crate) struct Attaching {
    pub(crate) kernel: NbdKernel,
    pub(crate) id: AttachmentId,
    pub(crate) link: Link,
    /// How long the daemon may stay away.
    pub(crate) wait: Duration,
    pub(crate) voice: Voice,
}

/// Where a resident tells what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Somebody watches it.
    StandardError,
    /// Nobody does: beside what the kernel says of the same device.
    KernelLog,
}

/// A device and who keeps it.
#[derive(Debug)]
pub(crate) struct Resident {
    kernel: NbdKernel,
    device: NbdDevice,
    id: AttachmentId,
    identifier: String,
    keeper: Keeper,
    /// The last socket that was offered to the kernel, until it is certain that it has it.
    link: Option<Link>,
    voice: Voice,
    began: Instant,
    place: Place,
}

impl Resident {
    /// Makes a device, of the kernel's choice where none is named.
    ///
    /// # Errors
    /// Those of the kernel; nothing is attached then.
    pub(crate) fn attach(attaching: Attaching, device: Option<NbdDevice>) -> io::Result<Self> {
        let Attaching { mut kernel, id, link, wait, voice } = attaching;
        let early = device.map(|device| Place::take(device, PREDECESSOR)).transpose()?;
        let identifier = id.to_string();
        let made = kernel.connect(&NewDevice {
            device,
            socket: link.socket.as_fd(),
            size_bytes: link.opened.size_bytes,
            flags: link.opened.flags,
            dead_link: wait + KERNEL_WAITS_LONGER,
            identifier: &identifier,
        })?;
        let place = early.map_or_else(|| Place::take(made, PREDECESSOR), Ok);
        let attached = place.and_then(|place| {
            if made.identifier().as_deref() != Some(&identifier) {
                return Err(io::Error::other("this kernel keeps no identifiers; Linux 5.14 does"));
            }
            made.set_look_interval_ms(LOOK_INTERVAL_MS)?;
            Ok(place)
        });
        match attached {
            Ok(place) => {
                let attaching = Attaching { kernel, id, link, wait, voice };
                Ok(Self::of(attaching, made, place, identifier))
            }
            Err(error) => {
                // Nobody has seen it yet; what went wrong first is told.
                let _ = kernel.disconnect(made);
                Err(error)
            }
        }
    }

    /// Takes over a device that has lost its resident, with a connection to the content that it is attached to.
    ///
    /// # Errors
    /// Where it has a resident, or the kernel refuses.
    pub(crate) fn take_over(mut attaching: Attaching, device: NbdDevice) -> io::Result<Self> {
        let place = Place::take(device, PREDECESSOR)?;
        let identifier = attaching.id.to_string();
        let (socket, size) = (attaching.link.socket.as_fd(), attaching.link.opened.size_bytes);
        let grown = Some(size).filter(|size| device.size_bytes().is_some_and(|had| had < *size));
        attaching.kernel.reconnect(device, socket, &identifier, grown)?;
        device.set_look_interval_ms(LOOK_INTERVAL_MS)?;
        Ok(Self::of(attaching, device, place, identifier))
    }

    fn of(attaching: Attaching, device: NbdDevice, place: Place, identifier: String) -> Self {
        let Attaching { kernel, id, link, wait, voice } = attaching;
        let keeper = Keeper::new(id.content, link.opened.size_bytes, wait);
        let (link, began) = (Some(link), Instant::now());
        Self { kernel, device, id, identifier, keeper, link, voice, began, place }
    }

    /// Which device it is.
    pub(crate) const fn device(&self) -> NbdDevice {
        self.device
    }

    /// Lets the device go again, where nobody is to use it after all.
    pub(crate) fn undo(mut self) {
        let _ = self.kernel.disconnect(self.device);
    }

    /// Keeps the device connected until it is detached.
    ///
    /// # Errors
    /// Where the daemon stayed away for too long: the device has failed, and is not attached any more.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        keep_out_of_the_way();
        let mut event = Event::Clock;
        loop {
            let was_waiting = self.keeper.is_waiting();
            let (action, news) = self.keeper.next(self.began.elapsed(), event);
            if self.keeper.is_waiting() != was_waiting {
                // Only for who asks: the device is kept all the same.
                let _ = self.place.note_waiting(self.keeper.is_waiting());
            }
            if let Some(news) = &news {
                self.voice.tell(self.device, news);
            }
            event = match action {
                Action::Watch(at_most) => self.watch(at_most)?,
                Action::Seek => self.seek(),
                Action::Offer(new_size) => self.offer(new_size),
                Action::OfferAgain => {
                    let event = self.offer(None);
                    self.link = None;
                    event
                }
                Action::GiveUp => {
                    // First: nobody is to take the device over in between.
                    self.place.give_up(self.id.nonce)?;
                    self.kernel.disconnect(self.device)?;
                    self.device.announce();
                    return Err(io::Error::new(io::ErrorKind::TimedOut, news.unwrap_or_default()));
                }
                Action::End => {
                    self.device.announce();
                    return Ok(());
                }
            };
        }
    }

    fn watch(&self, at_most: Duration) -> io::Result<Event> {
        if self.kernel.link_died(self.device, at_most)? {
            return Ok(Event::LinkDied);
        }
        let attached = self.device.identifier().is_some_and(|found| found == self.identifier);
        Ok(if attached { Event::Clock } else { Event::Detached })
    }

    fn seek(&mut self) -> Event {
        match connect(&self.id.server, &self.id.export) {
            Ok(link) => {
                let found = Event::Found(link.content, link.opened.size_bytes);
                self.link = Some(link);
                found
            }
            Err(error) => Event::Nobody(error.to_string()),
        }
    }

    fn offer(&mut self, new_size: Option<u64>) -> Event {
        let Some(link) = &self.link else { return Event::Clock };
        let socket = link.socket.as_fd();
        match self.kernel.reconnect(self.device, socket, &self.identifier, new_size) {
            Ok(()) => Event::Taken,
            Err(error) => Event::NotTaken(error.to_string()),
        }
    }
}

impl Voice {
    /// Tells something about a device. Nobody has to read it.
    fn tell(self, device: NbdDevice, text: impl fmt::Display) {
        let _ = match self {
            Self::StandardError => writeln!(io::stderr(), "{device}: {text}"),
            Self::KernelLog => kernel_log(&format!("<5>hotbay: {device}: {text}\n")),
        };
    }
}

fn kernel_log(line: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open("/dev/kmsg")?.write_all(line.as_bytes())
}

/// Makes the process one that memory reclaim need not wait for. Where the system refuses it works all the same, only less
/// surely when memory runs out.
fn keep_out_of_the_way() {
    let _ = rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE);
    let _ = rustix::process::configure_io_flusher_behavior(true);
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
}
