//! A drive in a program of one's own, with a medium of one's own: a stick of memory with a switch that pulls it out.
//!
//! ```sh
//! cargo run -p hotbay-drive --example embedded_drive
//! ```

#![expect(clippy::unwrap_used, reason = "an example ends where something is wrong")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bytes::Bytes;
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Durability, Error, ErrorKind, Execution, Extent, Identity,
    Medium, MemoryDevice, Request, Result,
};
use hotbay_drive::{
    Drive, DriveSettings, MediumSource, Records, State, VolumeRecord, VolumeSettings, VolumeSetup,
    WhenOccupied,
};
use hotbay_journal::FileStorage;

// --- the medium

/// A medium is a device that can be gone, and that says who it is.
#[derive(Clone, Debug)]
struct Stick {
    bytes: Arc<MemoryDevice>,
    is_plugged_in: Arc<AtomicBool>,
}

impl Stick {
    fn check(&self) -> Result<()> {
        match self.is_plugged_in.load(SeqCst) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Gone, "the stick was pulled out")),
        }
    }
}

impl Device for Stick {
    fn info(&self) -> DeviceInfo {
        self.bytes.info()
    }

    /// What is carried out at once is answered at once; what waits is answered with `Execution::later`.
    fn execute(&self, request: Request) -> Execution {
        match self.check() {
            Ok(()) => self.bytes.execute(request),
            Err(gone) => Execution::Done(Err(gone)),
        }
    }
}

impl Medium for Stick {
    fn name(&self) -> &str {
        "stick"
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { self.check() })
    }

    /// By this it is recognised when it comes back.
    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async {
            self.check()?;
            Ok(Identity {
                size_bytes: self.info().size_bytes,
                hardware: Some("serial:4711".into()),
                location: "a port of this example".into(),
                ..Identity::default()
            })
        })
    }
}

/// Whoever embeds a drive says where media come from. There is one here, whatever it is called.
impl MediumSource for Stick {
    fn open<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Arc<dyn Medium>>> {
        Box::pin(async {
            self.check()?;
            Ok(Arc::new(self.clone()) as Arc<dyn Medium>)
        })
    }

    fn is_there(&self, _: &str, _: &str) -> bool {
        self.check().is_ok()
    }
}

// --- the drive

/// This program keeps no records; one that is to go on after its end writes them to stable storage.
struct NoRecords;

impl Records for NoRecords {
    fn save(&self, _: &VolumeRecord) -> std::io::Result<()> {
        Ok(())
    }
}

async fn started(stick: &Stick, journal: &Path) -> Drive {
    let settings = DriveSettings {
        name: "embedded".into(),
        bays: 1,
        source: Arc::new(stick.clone()),
        records: Arc::new(NoRecords),
    };
    let volume = VolumeSetup {
        settings: VolumeSettings::new("usb", "stick"),
        record: VolumeRecord::new("usb", *b"sixteen bytes id"),
        journal: Arc::new(FileStorage::open(journal).unwrap()),
    };
    Drive::start(settings, vec![volume]).await.unwrap()
}

async fn write(device: &dyn Device, text: &'static str) {
    let (extent, data) = (Extent::new(0, text.len() as u64).unwrap(), Bytes::from(text));
    let request = Request::Write { extent, data, durability: Durability::Stable };
    device.execute(request).answer().await.unwrap();
}

async fn read(device: &dyn Device, length: usize) -> Vec<u8> {
    let extent = Extent::new(0, length as u64).unwrap();
    let reply = device.execute(Request::read(extent)).answer().await.unwrap();
    reply.into_payload().into_bytes().to_vec()
}

async fn story(journal: &Path) {
    let bytes = Arc::new(MemoryDevice::new(1 << 20));
    let stick = Stick { bytes, is_plugged_in: Arc::new(AtomicBool::new(true)) };
    let drive = started(&stick, journal).await;
    let volume = drive.volume("usb").unwrap();
    let mut states = volume.states();
    states.wait_for(|state| *state == State::Present).await.unwrap();

    let device = volume.open();
    write(&*device, "before").await;
    stick.is_plugged_in.store(false, SeqCst);
    write(&*device, "while it is away").await;
    println!("the stick is out, the volume is {}", volume.state());
    assert_eq!(read(&*device, 16).await, b"while it is away", "from the journal");
    assert_eq!(&stick.bytes.content()[..6], b"before");

    stick.is_plugged_in.store(true, SeqCst);
    // It comes back by itself after a while; this does not wait for that, and is refused where it was faster.
    let _ = drive.insert("usb", None, WhenOccupied::Refuse).await;
    states.wait_for(|state| *state == State::Present).await.unwrap();
    println!("the stick is back, the volume is {}", volume.state());
    assert_eq!(&stick.bytes.content()[..16], b"while it is away");
    drive.stop().await.unwrap();
}

fn main() {
    let journal = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(story(journal.path()));
}

#[test]
fn it_does_what_it_shows() {
    main();
}
