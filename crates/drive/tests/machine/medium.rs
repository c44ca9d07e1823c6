//! A handle on a disk: good for one stay of it. Closed when nothing of it is under way any more.

use std::sync::Arc;

use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Identity, Medium, Request, Result,
};

use super::disk::{Course, Disk, Fault, Op};

#[derive(Debug)]
pub struct Handle {
    name: String,
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    disk: Arc<Disk>,
    stay: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.disk.close();
    }
}

impl Handle {
    pub async fn open(name: &str, disk: Arc<Disk>) -> Result<Self> {
        pass(disk.begin(Op::Open)).await?;
        let stay = disk.open()?;
        Ok(Self { name: name.to_owned(), open: Arc::new(Open { disk, stay }) })
    }
}

/// Waits for something that is no request.
async fn pass(mut course: Course) -> Result<()> {
    course.pass().await;
    match course.fault {
        Some(Fault::Gone | Fault::Error) => {
            Err(Error::new(ErrorKind::Medium, "the disk has an error"))
        }
        Some(Fault::Hang) | None => Ok(()),
    }
}

impl Device for Handle {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            size_bytes: self.open.disk.size_bytes(),
            preferred_block_bytes: 512,
            read_only: false,
            rotational: false,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        let open = Arc::clone(&self.open);
        let mut course = open.disk.begin(Op::of(&request));
        if course.is_at_once() {
            return Execution::Done(open.disk.end(request, &course, open.stay, false));
        }
        Execution::later(async move {
            let has_hung = course.pass().await;
            open.disk.end(request, &course, open.stay, has_hung)
        })
    }
}

impl Medium for Handle {
    fn name(&self) -> &str {
        &self.name
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            pass(self.open.disk.begin(Op::Presence)).await?;
            self.open.disk.presence(self.open.stay)
        })
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async {
            pass(self.open.disk.begin(Op::Identify)).await?;
            self.open.disk.presence(self.open.stay)?;
            Ok(self.open.disk.identity(&self.name))
        })
    }
}
