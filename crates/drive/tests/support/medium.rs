//! A handle on a disk, and the cabinet that media are taken from.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Identity, Medium, Request,
    Result, Status,
};
use hotbay_drive::MediumSource;
use parking_lot::Mutex;
use tokio::task::yield_now;

use super::disk::{Disk, Op, When};

/// No disk grows beyond this.
pub const MOST_BYTES: u64 = 1 << 20;

/// A handle on a disk: good for one stay of it. Closed when nothing of it is under way any more.
#[derive(Debug)]
pub struct TestMedium(Arc<OpenDisk>);

#[derive(Debug)]
struct OpenDisk {
    disk: Arc<Disk>,
    stay: u64,
}

impl Drop for OpenDisk {
    fn drop(&mut self) {
        self.disk.close();
    }
}

impl Device for TestMedium {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            size_bytes: self.0.disk.size_bytes(),
            preferred_block_bytes: 512,
            read_only: false,
            rotational: false,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        let (open, op) = (Arc::clone(&self.0), Op::of(&request));
        let flush = open.disk.begin(op);
        if let Some(stuck) = open.disk.held_up(op) {
            return Execution::later(async move {
                if stuck.when == When::After {
                    let answer = open.disk.finish(request, flush, open.stay, false);
                    stuck.until_released().await;
                    return answer;
                }
                stuck.until_released().await;
                open.disk.finish(request, flush, open.stay, true)
            });
        }
        let Some((before, after)) = open.disk.next_pace() else {
            return Execution::Done(open.disk.finish(request, flush, open.stay, false));
        };
        Execution::later(async move {
            for _ in 0..before {
                yield_now().await;
            }
            let answer = open.disk.finish(request, flush, open.stay, false);
            for _ in 0..after {
                yield_now().await;
            }
            answer
        })
    }

    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        let open = Arc::clone(&self.0);
        Box::pin(async move {
            let known = open.disk.status(extent, most);
            // It may be out of date by the time that it is there.
            for _ in 0..open.disk.next_pace().map_or(0, |(_, after)| after) {
                yield_now().await;
            }
            Ok(known)
        })
    }
}

impl Medium for TestMedium {
    fn name(&self) -> &str {
        &self.0.disk.name
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            if let Some(stuck) = self.0.disk.held_up(Op::Presence) {
                stuck.until_released().await;
            }
            self.0.disk.presence(self.0.stay)
        })
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async {
            if let Some(stuck) = self.0.disk.held_up(Op::Identify) {
                stuck.until_released().await;
            }
            self.0.disk.presence(self.0.stay)?;
            Ok(self.0.disk.identity())
        })
    }

    /// Scripts and holds are for requests alone.
    fn sample(&self, blocks: Vec<Extent>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        Box::pin(std::future::ready(self.0.disk.sample(&blocks, self.0.stay)))
    }

    fn grow(&self, size_bytes: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if let Some(stuck) = self.0.disk.held_up(Op::Grow) {
                stuck.until_released().await;
            }
            self.0.disk.presence(self.0.stay)?;
            let size = usize::try_from(size_bytes).unwrap();
            if size as u64 > MOST_BYTES {
                let why = format!("there is no room for {size_bytes} bytes");
                return Err(Error::new(ErrorKind::NoSpace, why));
            }
            self.0.disk.grow(size);
            Ok(())
        })
    }
}

/// Disks by name.
#[derive(Debug, Default)]
pub struct Cabinet(Mutex<BTreeMap<String, Arc<Disk>>>);

impl Cabinet {
    /// Puts a fresh disk into the cabinet.
    pub fn make(&self, name: &str, size_bytes: usize) -> Arc<Disk> {
        let disk = Disk::new(name, size_bytes);
        self.0.lock().insert(name.to_owned(), Arc::clone(&disk));
        disk
    }

    pub fn disk(&self, name: &str) -> Arc<Disk> {
        Arc::clone(&self.0.lock()[name])
    }

    pub fn disks(&self) -> Vec<Arc<Disk>> {
        self.0.lock().values().cloned().collect()
    }
}

impl MediumSource for Cabinet {
    fn open<'a>(
        &'a self,
        medium: &'a str,
        _volume: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Medium>>> {
        Box::pin(async move {
            let disk = self.0.lock().get(medium).cloned();
            let disk = disk
                .ok_or_else(|| Error::new(ErrorKind::Gone, format!("there is no disk {medium}")))?;
            if let Some(stuck) = disk.held_up(Op::Open) {
                stuck.until_released().await;
            }
            let stay = disk.open()?;
            Ok(Arc::new(TestMedium(Arc::new(OpenDisk { disk, stay }))) as Arc<dyn Medium>)
        })
    }

    fn is_there(&self, medium: &str, _volume: &str) -> bool {
        self.0.lock().get(medium).is_some_and(|disk| disk.is_there())
    }
}
