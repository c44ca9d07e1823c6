//! Where remote media are: who has which, whether it can be found, and when it may be opened again.
//!
//! **A stale write must not land late.** A request that had no answer when its connection ended may be in the server's
//! hands still. What the next connection brings must come after it, and no server says when it has let go of a dead
//! client's requests. So a medium is opened again only once its server has answered a flush over a new connection, which
//! waits for a disk that is stuck, *and then* a while later: [`Ending`] by [`Ending`], see `pause`. The journal takes the
//! writes meanwhile. A request that hangs on a connection that stands is no matter of this file: it has not ended, and its
//! volume waits for that.
//!
//! **A look is cheap.** Whether a server is there can only be known by asking it, and a volume wants to know four times a
//! second. So it is told what the last look found, and looks are made beside, one at a time, ever less often as long
//! as they find the same.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hotbay_block::{Device as _, Error, ErrorKind, Medium, Request, Result};
use hotbay_nbd::uri::NbdUri;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::RemoteMedium;
use super::connections::Connections;
use super::dial::{OPEN_DEADLINE, dial, is_there};
use super::life::{Ending, Life};

/// How long after a server answers again it counts as done with what it has of connections that it is known to have
/// closed itself.
pub(super) const PAUSE_CLOSED: Duration = Duration::from_secs(1);

/// The same for any other that ended.
pub(super) const PAUSE_BROKEN: Duration = Duration::from_secs(5);

/// The same for those of an earlier daemon, of which nothing is known.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(300);

/// The first pause between two looks that find the same, doubled each time up to the last.
const LOOK_PAUSE_FIRST: Duration = Duration::from_millis(250);
const LOOK_PAUSE_LAST: Duration = Duration::from_secs(8);

/// From how many places on those are forgotten that were never opened.
const REMEMBERED: usize = 256;

/// All remote media that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<NbdUri, Arc<Mutex<Place>>>>);

/// Kept by a medium as long as it has its place.
pub(super) type Hold = Arc<Holder>;

/// The volume that has a place.
#[derive(Debug)]
pub(super) struct Holder(String);

#[derive(Debug)]
struct Place {
    holder: Weak<Holder>,
    /// The connections of the last time that it was opened; none where it was not.
    last: Vec<Arc<Life>>,
    look: Look,
}

/// What is known of whether the server and its export are there.
#[derive(Debug)]
struct Look {
    is_there: bool,
    next: Instant,
    pause: Duration,
    under_way: bool,
    /// The end of the last connection has been taken into account.
    knows_end: bool,
}

impl Look {
    fn fresh(is_there: bool) -> Self {
        let (next, pause) = (Instant::now() + LOOK_PAUSE_FIRST, LOOK_PAUSE_FIRST);
        Self { is_there, next, pause, under_way: false, knows_end: false }
    }

    fn enter(&mut self, is_there: bool) {
        self.pause = match is_there == self.is_there {
            true => (self.pause * 2).min(LOOK_PAUSE_LAST),
            false => LOOK_PAUSE_FIRST,
        };
        self.is_there = is_there;
        self.next = Instant::now() + self.pause;
        self.under_way = false;
    }
}

impl Places {
    /// Opens the export for the volume `owner`.
    ///
    /// # Errors
    /// As `dial`; [`ErrorKind::Medium`] where another volume has it, or where it cannot be a medium.
    pub(crate) async fn open(&self, uri: &NbdUri, owner: &str) -> Result<Arc<dyn Medium>> {
        let place = self.place(uri);
        let hold = Place::take(&place, uri, owner)?;
        let dialled = dial(uri).await?;
        let opened = dialled[0].opened.clone();
        let pause = place.lock().pause(uri)?;
        let connections = Connections::begin(dialled);
        let lives = connections.lives();
        let medium = RemoteMedium::of(uri, &opened, connections, hold)?;
        hold_back(&medium, pause).await?;
        let mut place = place.lock();
        place.last = lives;
        place.look = Look::fresh(true);
        Ok(Arc::new(medium))
    }

    /// What the last look found. Begins the next one where it is due; until the first has ended it is taken to be there,
    /// and whoever opens it finds out.
    pub(crate) fn contains(&self, uri: &NbdUri) -> bool {
        let place = self.place(uri);
        let mut known = place.lock();
        let ended = known.last.iter().any(|life| life.has_ended());
        if ended
            && !std::mem::replace(&mut known.look.knows_end, true)
            && known.last.iter().filter_map(|life| life.end()).any(|end| end.how != Ending::LetGo)
        {
            known.look.is_there = false;
            known.look.next = Instant::now();
        }
        if !known.look.under_way
            && known.look.next <= Instant::now()
            && let Ok(runtime) = Handle::try_current()
        {
            known.look.under_way = true;
            let (place, uri) = (Arc::clone(&place), uri.clone());
            runtime.spawn(async move {
                let found = is_there(&uri).await;
                place.lock().look.enter(found);
            });
        }
        known.look.is_there
    }

    fn place(&self, uri: &NbdUri) -> Arc<Mutex<Place>> {
        let mut places = self.0.lock();
        // What was never opened is not worth remembering.
        if places.len() >= REMEMBERED {
            places.retain(|_, place| Arc::strong_count(place) > 1 || !place.lock().last.is_empty());
        }
        let fresh = || {
            let look = Look { next: Instant::now(), ..Look::fresh(true) };
            Arc::new(Mutex::new(Place { holder: Weak::new(), last: Vec::new(), look }))
        };
        // In TLS or not, it is the same export: what it was left with counts.
        Arc::clone(places.entry(uri.place()).or_insert_with(fresh))
    }
}

/// Waits until what earlier connections have left with the server counts as done.
async fn hold_back(medium: &RemoteMedium, pause: Duration) -> Result<()> {
    if pause.is_zero() {
        return Ok(());
    }
    let flushed = timeout(OPEN_DEADLINE, medium.execute(Request::Flush).answer()).await;
    flushed.unwrap_or_else(|_| {
        let (name, wait) = (medium.name(), OPEN_DEADLINE.as_secs());
        Err(Error::new(ErrorKind::Gone, format!("{name}: the server has not flushed in {wait} s")))
    })?;
    sleep(pause).await;
    Ok(())
}

impl Place {
    fn take(place: &Mutex<Self>, uri: &NbdUri, owner: &str) -> Result<Hold> {
        let mut place = place.lock();
        if let Some(holder) = place.holder.upgrade() {
            let text = format!("{uri} is in use by volume {}", holder.0);
            return Err(Error::new(ErrorKind::Medium, text));
        }
        let hold = Arc::new(Holder(owner.to_owned()));
        place.holder = Arc::downgrade(&hold);
        Ok(hold)
    }

    /// How long what new connections bring must be held back, so that it comes after what the last ones left.
    fn pause(&self, uri: &NbdUri) -> Result<Duration> {
        if self.last.is_empty() {
            return Ok(PAUSE_FIRST);
        }
        let after = |life| Self::pause_after(life, uri);
        self.last
            .iter()
            .map(after)
            .try_fold(Duration::ZERO, |longest, pause| Ok(longest.max(pause?)))
    }

    fn pause_after(life: &Arc<Life>, uri: &NbdUri) -> Result<Duration> {
        match life.end() {
            None if life.is_idle() => Ok(Duration::ZERO),
            None => Err(Error::new(
                ErrorKind::Medium,
                format!(
                    "requests of an earlier connection to {uri} have not ended; try again later"
                ),
            )),
            Some(end) if !end.in_doubt => Ok(Duration::ZERO),
            Some(end) => Ok(match end.how {
                Ending::LetGo => Duration::ZERO,
                Ending::Closed => PAUSE_CLOSED,
                Ending::Broken => PAUSE_BROKEN,
            }),
        }
    }
}
