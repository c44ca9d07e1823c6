//! A medium of one's own: the bytes of an image behind its header, in which it says who it is.
//!
//! ```sh
//! cargo run -p hotbay-media --example custom_medium
//! ```
//! What comes out is held to the same suite as the media of this crate. A drive gets such media by a `MediumSource`, as in
//! `crates/drive/examples/embedded_drive.rs`.

#![expect(clippy::unwrap_used, reason = "an example ends where something is wrong")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use hotbay_block::{
    BoxFuture, Checked, Device, DeviceInfo, Durability, Error, ErrorKind, Execution, Identity,
    Medium, Reply, Request, Result, conformance,
};

const HEADER_BYTES: u64 = 4096;
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// What was begun may outlive the medium's stay in its bay, so it shares the image.
#[derive(Debug)]
struct BehindHeader(Arc<Image>);

#[derive(Debug)]
struct Image {
    path: String,
    file: File,
    size_bytes: u64,
    sync_failed: AtomicBool,
}

impl Device for BehindHeader {
    fn info(&self) -> DeviceInfo {
        let size_bytes = self.0.size_bytes;
        DeviceInfo { size_bytes, preferred_block_bytes: 4096, read_only: false, rotational: false }
    }

    /// Of a range that was checked before. A disk may keep its caller waiting, so the pool does it.
    fn execute(&self, request: Request) -> Execution {
        let image = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || image.carry_out(request));
        Execution::later(async move { done.await.unwrap() })
    }
}

impl Medium for BehindHeader {
    fn name(&self) -> &str {
        &self.0.path
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { self.0.must_be_there() })
    }

    /// By this it is recognised when it comes back.
    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async {
            let (mut id, image) = ([0; 8], &*self.0);
            image.file.read_exact_at(&mut id, 0).map_err(|error| image.meaning_of(error))?;
            let content = vec![format!("image:{:016x}", u64::from_be_bytes(id))];
            let (size_bytes, location) = (image.size_bytes, image.path.clone());
            Ok(Identity { size_bytes, content, location, ..Identity::default() })
        })
    }
}

impl Image {
    fn carry_out(&self, request: Request) -> Result<Reply> {
        let must_sync =
            matches!(request, Request::Flush) || request.durability() == Some(Durability::Stable);
        let reply = self.transfer(request).map_err(|error| self.meaning_of(error))?;
        if must_sync {
            self.sync()?;
        }
        Ok(reply)
    }

    fn transfer(&self, request: Request) -> io::Result<Reply> {
        match request {
            Request::Read { extent, mut buffer, .. } => {
                buffer.resize(usize::try_from(extent.length()).unwrap(), 0);
                self.file.read_exact_at(&mut buffer, HEADER_BYTES + extent.offset())?;
                return Ok(Reply::Data(buffer.freeze().into()));
            }
            Request::Write { extent, data, .. } => {
                self.file.write_all_at(&data, HEADER_BYTES + extent.offset())?;
            }
            Request::Zero { extent, .. } => {
                for at in (extent.offset()..extent.end()).step_by(ZEROES.len()) {
                    let length = (extent.end() - at).min(ZEROES.len() as u64);
                    let zeroes = &ZEROES[..usize::try_from(length).unwrap()];
                    self.file.write_all_at(zeroes, HEADER_BYTES + at)?;
                }
            }
            Request::Trim { .. } | Request::Cache { .. } | Request::Flush => {}
        }
        Ok(Reply::Done)
    }

    /// One that failed is never tried again: the next would succeed, and what was written would not be there. And a sync into a
    /// file that nobody will find again is none.
    fn sync(&self) -> Result<()> {
        if self.sync_failed.load(SeqCst) {
            return Err(Error::new(ErrorKind::PreviousFailure, "an earlier sync has failed"));
        }
        if let Err(error) = self.file.sync_data() {
            self.sync_failed.store(true, SeqCst);
            return Err(self.meaning_of(error));
        }
        self.must_be_there()
    }

    fn must_be_there(&self) -> Result<()> {
        let place = |found: fs::Metadata| (found.dev(), found.ino());
        match (fs::metadata(&self.path).map(place), self.file.metadata().map(place)) {
            (Ok(found), Ok(mine)) if found == mine => Ok(()),
            _ => Err(Error::new(ErrorKind::Gone, format!("{} is not there any more", self.path))),
        }
    }

    /// Whatever the system says: with the image away the medium is gone, else something is wrong with it.
    fn meaning_of(&self, error: io::Error) -> Error {
        let failed = || Error::new(ErrorKind::Medium, self.path.clone()).caused_by(error);
        self.must_be_there().err().unwrap_or_else(failed)
    }
}

fn open(path: &Path) -> io::Result<BehindHeader> {
    let file = File::options().read(true).write(true).open(path)?;
    let size_bytes = file.metadata()?.len().saturating_sub(HEADER_BYTES);
    let (path, sync_failed) = (path.display().to_string(), AtomicBool::new(false));
    Ok(BehindHeader(Arc::new(Image { path, file, size_bytes, sync_failed })))
}

async fn try_it(path: &Path) {
    let medium = open(path).unwrap();
    println!("this is {}", medium.identify().await.unwrap());
    let device = Checked::new(Arc::new(medium));
    conformance::check(&device).await;
    println!("it keeps the contract");

    fs::remove_file(path).unwrap();
    let error = device.execute(Request::Flush).answer().await.unwrap_err();
    println!("taken away: {error}");
    assert_eq!(error.kind(), ErrorKind::Gone);
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.image");
    fs::write(&path, 7u64.to_be_bytes()).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(HEADER_BYTES + (4 << 20)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(try_it(&path));
}

#[test]
fn it_does_what_it_shows() {
    main();
}
