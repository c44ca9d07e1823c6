//! A medium coming: it is opened, recognised, and the replay begins.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{ErrorKind, Identity, Medium, Request};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::attachment::{Attachment, Here, IDENTIFYING};
use crate::bay::BayPlace;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::observed::Observed;
use crate::recognise::{Known, Recognised, is_given_up, plainly_another, recognise};
use crate::replay;
use crate::route::{Route, Under};
use crate::state::{State, Trigger};
use crate::under_way::{Doing, UnderWay};
use crate::volume::{Reach, Stay, Volume};
use crate::witness::{Witness, standard_places};

/// What to do where a medium is there, and the daemon may not have it.
pub(crate) const NOT_WRITABLE: &str = "nothing was changed; let the daemon's user read and write it, or run the daemon as root; what is write-protected is no medium";

/// How long an insert or an eject waits for I/O of an earlier attachment to end.
pub(crate) const DEPARTURE_WAIT: Duration = Duration::from_secs(10);

/// What to do where a medium cannot be the volume's own.
const INSERT_THE_OWN: &str = "insert the volume's own medium";

/// What is asked of a medium before it may take a volume's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// It must be the one that the volume was on.
    TheSame,
    /// The daemon has just started and the journal is empty: nothing can be lost. What is there is taken as it is;
    /// where that is plainly another medium, as another content, since a client may have outlived the restart.
    AsFound,
}

impl Volume {
    /// Puts a medium in and begins the replay; returns when it has begun. Nothing is written to a medium that is
    /// refused.
    ///
    /// # Errors
    /// Where one is in already, where it cannot be opened, or where it is not the volume's own.
    pub(crate) async fn insert(
        self: &Arc<Self>,
        medium: Option<&str>,
        place: BayPlace,
        recognition: Recognition,
    ) -> Result<(), Refusal> {
        let mut stay = self.stay.lock().await;
        self.next_state(Trigger::Insert)?;
        if self.is_stopping() {
            return Err(being_stopped());
        }
        let name = match medium {
            Some(name) => name.to_owned(),
            None => self.usual_medium().await,
        };
        let opened = self.open_medium(&mut stay, &name).await?;
        self.must_fit(&opened, INSERT_THE_OWN).await?;
        let found = self.look_at(&mut stay, &opened).await?;
        let content = match self.compare(&found).await {
            Comparison::Unchanged => self.route.load().content,
            _ if recognition == Recognition::AsFound => self.content_on(&found).await,
            Comparison::Changed(why) => {
                // Closed, so that whoever has to decide can look at it.
                drop(opened);
                return Err(self.dispute(&name, place, &why).await);
            }
            Comparison::Another(why) => return Err(self.another(&name, &why)),
        };
        self.put_in(&mut stay, opened, found, content, || place).await
    }

    /// Makes a medium the volume's own that has been looked at, and begins the replay. The place in the bay is taken only
    /// when nothing can fail any more.
    pub(crate) async fn put_in(
        self: &Arc<Self>,
        stay: &mut Stay,
        opened: Arc<dyn Medium>,
        found: Found,
        content: u64,
        place: impl FnOnce() -> BayPlace,
    ) -> Result<(), Refusal> {
        let Found { identity, witness: found, in_place_of } = found;
        let certain = match stay.knows_what_is_synced() {
            // What is read there may be in the system's memory alone: of an I/O that was under way when the medium left.
            true => self.record.lock().await.witness.agreeing_with(&found),
            false => {
                self.sync_once(stay, &opened).await?;
                found
            }
        };
        let log = self.log();
        let unsettled = log.touches(IDENTIFYING);
        // What is going to be replayed over bears no witness any more.
        let witness = certain.without(|block| log.touches(block));
        let medium_bytes = opened.info().size_bytes;
        let observed = Observed::new(medium_bytes, &witness);
        self.update_record(|record| {
            record.go_to(opened.name(), identity, content);
            record.identity_unsettled = unsettled;
            record.witness = witness;
            if let Some(lost) = in_place_of {
                record.give_up(lost);
            }
        })
        .await?;
        self.tell_if_half_grown(medium_bytes);
        let attachment = self.attach(stay, opened, place(), observed);
        let under = Under::fresh(Arc::clone(&attachment));
        let path = self.journal_path(Some(under.clone()));
        let size_bytes = self.route.load().size_bytes;
        self.replace_route(Route { state: State::Replaying, content, size_bytes, path });
        // Tells only those who opened an earlier content.
        self.contents.change(|now| *now = content);
        self.event(EventKind::Inserted, format!("{} is in", attachment.medium.name()));
        replay::begin(self, under);
        Ok(())
    }

    /// The medium that the volume was on last, else the configured one.
    pub(crate) async fn usual_medium(&self) -> String {
        let record = self.record.lock().await;
        record.medium.clone().unwrap_or_else(|| self.settings().medium.clone())
    }

    /// The number of the content that a medium brings which is taken as it is.
    async fn content_on(&self, found: &Found) -> u64 {
        let record = self.record.lock().await;
        let found_identity = &found.identity;
        let another = record.identity.as_ref().is_some_and(|own| {
            plainly_another(own, found_identity)
                || is_given_up(&record.given_up, own, found_identity)
        });
        match another || record.witness.differs_from(&found.witness).is_some() {
            true => record.content + 1,
            false => record.content,
        }
    }

    /// Makes an attachment of a medium.
    pub(crate) fn attach(
        &self,
        stay: &mut Stay,
        medium: Arc<dyn Medium>,
        place: BayPlace,
        observed: Observed,
    ) -> Arc<Attachment> {
        stay.attachments += 1;
        self.notes.lock().medium = Some(medium.name().to_owned());
        let (limit, retention) =
            (self.settings().retained_bound_bytes(), self.settings().retention);
        let number = stay.attachments;
        Arc::new(Attachment::new(number, medium, place, observed, limit, retention))
    }

    /// Opens a medium, once nothing of an earlier attachment can reach one any more: an I/O that still hangs there
    /// could land on top of what the replay brings.
    pub(crate) async fn open_medium(
        &self,
        stay: &mut Stay,
        name: &str,
    ) -> Result<Arc<dyn Medium>, Refusal> {
        while let Some(departure) = stay.left_behind_on(name) {
            let departed = tokio::select! {
                biased;
                departed = departure.within(DEPARTURE_WAIT) => departed,
                () = self.stopped() => return Err(being_stopped()),
            };
            if departed.is_err() {
                return Err(self.still_hangs(name));
            }
        }
        self.open_beside(stay, name).await
    }

    /// Opens a medium beside the one that is in.
    pub(crate) async fn open_beside(
        &self,
        stay: &mut Stay,
        name: &str,
    ) -> Result<Arc<dyn Medium>, Refusal> {
        if stay.left_behind_on(name).is_some() {
            return Err(self.still_hangs(name));
        }
        let source = Arc::clone(&self.around.source);
        let (medium, volume) = (name.to_owned(), self.name().to_owned());
        let opening = async move { source.open(&medium, &volume).await };
        let doing = Doing::Other("the request to open it");
        let opened = self.in_time(stay, name, doing, opening).await?;
        let opened = opened.ok_or_else(|| self.no_answer(name, doing))?;
        opened.map_err(|error| {
            let refusal = Refusal::new(error.with_sources());
            match error.kind() {
                ErrorKind::Gone => {
                    refusal.hint("nothing was changed; bring it back, or name another medium")
                }
                ErrorKind::ReadOnly => refusal.hint(NOT_WRITABLE),
                _ => refusal,
            }
        })
    }

    /// Looks who a medium is that is not in.
    pub(crate) async fn identify(
        &self,
        stay: &mut Stay,
        medium: &Arc<dyn Medium>,
    ) -> Result<Identity, Refusal> {
        let asked = Arc::clone(medium);
        let identifying = async move { asked.identify().await };
        let identified = self.in_time(stay, medium.name(), Doing::Identify, identifying).await?;
        let identified =
            identified.ok_or_else(|| self.no_answer(medium.name(), Doing::Identify))?;
        identified.map_err(|error| Refusal::new(error.with_sources()))
    }

    /// Brings to stable storage what an earlier daemon has written to a medium and not synced. What it acknowledged is covered by
    /// the next flush, and while the medium is being replayed the journal's sync answers that.
    async fn sync_once(&self, stay: &mut Stay, medium: &Arc<dyn Medium>) -> Result<(), Refusal> {
        let asked = Arc::clone(medium);
        let syncing = async move { asked.execute(Request::Flush).answer().await };
        let synced = self.in_time(stay, medium.name(), Doing::Sync, syncing).await?;
        let synced = synced.ok_or_else(|| self.no_answer(medium.name(), Doing::Sync))?;
        synced.map(drop).map_err(|error| Refusal::new(error.with_sources()))
    }

    fn still_hangs(&self, medium: &str) -> Refusal {
        let volume = self.name();
        Refusal::new(format!("earlier I/O of volume {volume} still hangs, and may reach {medium}"))
            .hint("nothing is put in while it could still write; try again when it has ended")
    }

    /// Waits for a medium that is not in, as long as for any I/O; `None` where that is not enough. Then `work` goes on by
    /// itself, and this medium is not put in before it has ended.
    async fn in_time<T: Send + 'static>(
        &self,
        stay: &mut Stay,
        medium: &str,
        doing: Doing,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Option<T>, Refusal> {
        let under_way = Arc::<UnderWay>::default();
        let entered = under_way.enter(doing);
        let here = Here::new();
        let departure = here.departure();
        let (tell, told) = oneshot::channel();
        self.around.runtime.spawn(async move {
            // What nobody waits for any more is let go here.
            let _ = tell.send(work.await);
            drop((here, entered));
        });
        let waited = tokio::select! {
            biased;
            done = timeout(self.settings().io_deadline, told) => done,
            () = self.stopped() => return Err(being_stopped()),
        };
        match waited {
            Ok(done) => done.map(Some).map_err(|_| being_stopped()),
            Err(_) => {
                stay.leave_behind(Reach::Named(medium.to_owned()), departure);
                self.notes.lock().leave_behind(under_way);
                Ok(None)
            }
        }
    }

    fn no_answer(&self, medium: &str, what: Doing) -> Refusal {
        let wait = self.settings().io_deadline;
        let why = format!("{medium} has not answered {what} for {wait:?}");
        self.event(EventKind::Refused, why.clone());
        Refusal::new(why).hint("nothing was written to it; try again when it answers")
    }

    /// Refuses a medium that has neither the volume's size nor the one to which it is being grown; `hint` says what to do then.
    pub(crate) async fn must_fit(
        &self,
        medium: &Arc<dyn Medium>,
        hint: &str,
    ) -> Result<(), Refusal> {
        match self.record.lock().await.fits(medium.info().size_bytes) {
            true => Ok(()),
            false => Err(self.has_another_size(medium, hint)),
        }
    }

    pub(crate) fn has_another_size(&self, medium: &Arc<dyn Medium>, hint: &str) -> Refusal {
        let (have, want) = (medium.info().size_bytes, self.route.load().size_bytes);
        let (name, volume) = (medium.name(), self.name());
        let why = format!("{name} has {have} bytes, volume {volume} has {want}");
        self.event(EventKind::Refused, why.clone());
        Refusal::new(why).hint(format!("nothing was written to it; {hint}"))
    }

    /// Looks who a medium is, and what it holds where the volume's own is witnessed.
    pub(crate) async fn look_at(
        &self,
        stay: &mut Stay,
        medium: &Arc<dyn Medium>,
    ) -> Result<Found, Refusal> {
        let identity = self.identify(stay, medium).await?;
        let witness = self.record.lock().await.witness.clone();
        let places = match witness.is_empty() {
            true => standard_places(identity.size_bytes),
            false => witness.places(),
        };
        let (asked, blocks) = (Arc::clone(medium), places.clone());
        let sampling = async move { asked.sample(blocks).await };
        let sampled = self.in_time(stay, medium.name(), Doing::Identify, sampling).await?;
        let sampled = sampled.ok_or_else(|| self.no_answer(medium.name(), Doing::Identify))?;
        let sampled = sampled.map_err(|error| Refusal::new(error.with_sources()))?;
        Ok(Found { identity, witness: Witness::of(&places, &sampled), in_place_of: None })
    }

    /// Compares a medium with what is known of the volume's own.
    async fn compare(&self, found: &Found) -> Comparison {
        let record = self.record.lock().await;
        let unchanged = || match &record.parted {
            Some(why) => Comparison::Changed(why.clone()),
            None => Comparison::Unchanged,
        };
        let Some(identity) = &record.identity else { return unchanged() };
        let known =
            Known { identity, unsettled: record.identity_unsettled, given_up: &record.given_up };
        match recognise(known, &found.identity) {
            Recognised::Own => match record.witness.differs_from(&found.witness) {
                None => unchanged(),
                Some(difference) => Comparison::Changed(changed(&difference)),
            },
            Recognised::Changed(why) => Comparison::Changed(changed(&why)),
            Recognised::Another(why) => Comparison::Another(why),
        }
    }

    fn another(&self, name: &str, why: &str) -> Refusal {
        let volume = self.name();
        let why = format!("{name} is not the medium of volume {volume}: {why}");
        self.event(EventKind::Refused, why.clone());
        Refusal::new(why).hint(format!(
            "nothing was written to it; insert the volume's own medium, or put another content in its place with \
             'hotbay swap {volume} MEDIUM --as-is'"
        ))
    }
}

/// What was seen of a medium that is to be put in.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) identity: Identity,
    pub(crate) witness: Witness,
    /// The medium that is given up for it.
    pub(crate) in_place_of: Option<Identity>,
}

/// How a medium that is to be put in compares with what is known of the volume's own.
enum Comparison {
    /// It is the volume's own, and nothing shows that it was changed.
    Unchanged,
    /// It is the volume's own, and was changed, is an older copy of itself, or was parted from its mirror: what is with it.
    Changed(String),
    /// It is another one: what shows it.
    Another(String),
}

fn changed(why: &dyn std::fmt::Display) -> String {
    format!("was changed while it was away, or is an older copy: {why}")
}

pub(crate) fn being_stopped() -> Refusal {
    Refusal::new("the daemon is being stopped")
}
