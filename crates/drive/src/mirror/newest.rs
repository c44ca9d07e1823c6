//! Somebody decides which copy counts.
//!
//! Where every copy in sync is away for ever, one that is behind can be taken for the newest; and a copy in conflict either counts
//! or becomes a copy again. Nothing of it is guessed, and what clients were told is safe may be lost by it. So the copy that
//! counts is another content to them, and a copy that has something which it lacks is not overwritten when it returns: it is
//! *parted*, and comes back in conflict, until somebody has decided about it too.

use crate::event::EventKind;
use crate::failure::Refusal;
use crate::state::State;

use super::standing::Standings;
use super::{Mirror, Mirrored};

impl Mirror {
    /// Lets a copy in conflict be what it was: everything on it is taken for old, so that it gets all of it when its medium
    /// is let in, with what it alone has lost.
    ///
    /// # Errors
    /// Where no other copy has everything, there is no such copy, or it cannot be recorded; then all is as before.
    pub async fn take_for_old(&self, volume: &str) -> Result<(), Refusal> {
        let place = self.place(volume)?;
        match self.mirrored.take_for_old(place).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::new(format!(
                "the copy on {volume} is the only one that has everything"
            ))
            .hint(format!(
                "another one counts after 'hotbay resolve OTHER newest'; where its medium is in conflict, 'hotbay resolve {volume} replay' goes on with it"
            ))),
            Err(error) => Err(not_written(&error)),
        }
    }

    /// Whether the journal of a copy in conflict may be laid over its medium, and the mirror go on with that.
    ///
    /// # Errors
    /// Where another copy has everything: then this one would differ from it.
    pub fn may_replay(&self, volume: &str) -> Result<(), Refusal> {
        let place = self.place(volume)?;
        let standings = self.mirrored.standings.lock();
        match standings.in_sync().find(|copy| *copy != place) {
            None => Ok(()),
            Some(other) => Err(Refusal::new(format!(
                "the copy on {} has everything, and the one on {volume} may be another by now",
                self.mirrored.name_of(other)
            ))
            .hint(format!(
                "'hotbay resolve {volume} discard' makes it a copy again, and what it alone has is lost; \
                 'hotbay resolve {volume} newest' lets it count, and what it lacks is lost"
            ))),
        }
    }

    /// Takes a copy for the newest, as another content: sessions are closed. The others get everything from it; but those that have
    /// something which it lacks, and whose medium is away, are in conflict when that is back. A copy in conflict is let in by whoever
    /// calls this, afterwards.
    ///
    /// It is decided from the moment that it is recorded; a crash before that may leave copies that are in conflict when they are back.
    ///
    /// # Errors
    /// Where it is not needed: the copy has everything, or it is not in conflict and one that has everything has its medium in; where its
    /// medium is away, or it cannot be recorded. Then all is as before.
    pub async fn take_for_newest(&self, volume: &str) -> Result<(), Refusal> {
        let newest = self.place(volume)?;
        self.mirrored.take_for_newest(newest).await
    }

    fn place(&self, volume: &str) -> Result<usize, Refusal> {
        let mut copies = self.mirrored.copies.iter();
        let place = copies.position(|copy| copy.volume.name() == volume);
        place.ok_or_else(|| {
            Refusal::new(format!("there is no copy on a volume {volume}"))
                .hint("each volume of the mirror is one: see 'hotbay status'")
        })
    }
}

impl Mirrored {
    async fn take_for_newest(&self, newest: usize) -> Result<(), Refusal> {
        let _closed = self.gate.write().await;
        let turn = self.marks.saving().await;
        let mut next = self.standings.lock().clone();
        self.must_be_needed(newest, &next)?;
        let lacks = next.behind(newest).map_or(0, |behind| behind.count());
        let others = (0..self.copies.len()).filter(|copy| *copy != newest);
        let parted: Vec<usize> =
            others.filter(|copy| next.is_as_new(*copy, newest) && self.is_away(*copy)).collect();
        self.part(&parted, newest).await?;
        next.take_for_newest(newest, &self.granules.all());
        if let Err(error) = self.marks.save_all_marked(&turn, &next, self.granules.all()).await {
            self.rejoin(&parted).await;
            return Err(not_written(&error));
        }
        {
            let mut standings = self.standings.lock();
            self.contents.send_replace(next.content());
            *standings = next;
        }
        let (name, lacks) = (self.name_of(newest), self.granules.bytes_of(lacks));
        let text = format!(
            "the copy on {name} counts as it is, and may lack up to {lacks} bytes; sessions were closed"
        );
        self.tell(newest, EventKind::Resolved, text);
        Ok(())
    }

    fn must_be_needed(&self, newest: usize, standings: &Standings) -> Result<(), Refusal> {
        let name = self.name_of(newest);
        let others = || (0..self.copies.len()).filter(|copy| *copy != newest);
        let state = self.copies[newest].volume.state();
        if standings.is_in_sync(newest)
            && (state != State::Conflict || standings.in_sync().count() == 1)
        {
            return Err(Refusal::new(format!("the copy on {name} has everything already"))
                .hint("only one that is behind can be taken for the newest: see 'hotbay status'"));
        }
        match state {
            State::Conflict => return Ok(()),
            State::Present => {}
            state => {
                return Err(Refusal::new(format!("volume {name} is {state}")).hint(
                    "a copy is taken for the newest as it is on its medium: that must be present",
                ));
            }
        }
        if let Some(other) = others().find(|c| standings.is_in_sync(*c) && !self.is_away(*c)) {
            let other = self.name_of(other);
            return Err(Refusal::new(format!(
                "the copy on {other} has everything, and its medium is in"
            ))
            .hint(format!("the copy on {name} gets from it what it lacks, by itself")));
        }
        match others().find(|c| standings.is_as_new(*c, newest) && !self.is_away(*c)) {
            None => Ok(()),
            Some(newer) => {
                let newer = self.name_of(newer);
                Err(Refusal::new(format!("the copy on {newer} is newer, and its medium is in"))
                    .hint(format!("'hotbay resolve {newer} newest' loses less")))
            }
        }
    }

    /// Sees to it that these copies are in conflict when they are back.
    async fn part(&self, copies: &[usize], newest: usize) -> Result<(), Refusal> {
        let why = format!(
            "may hold what was written before the copy on {} was taken for the newest",
            self.name_of(newest)
        );
        for (done, copy) in copies.iter().enumerate() {
            if let Err(refusal) = self.copies[*copy].volume.part(Some(&why)).await {
                self.rejoin(&copies[..done]).await;
                return Err(refusal);
            }
        }
        Ok(())
    }

    async fn rejoin(&self, copies: &[usize]) {
        for copy in copies {
            if let Err(refusal) = self.copies[*copy].volume.part(None).await {
                // It asks for a decision that is not needed.
                self.tell(*copy, EventKind::Warning, refusal.to_string());
            }
        }
    }

    fn name_of(&self, copy: usize) -> &str {
        self.copies[copy].volume.name()
    }
}

fn not_written(error: &std::io::Error) -> Refusal {
    Refusal::new(format!("the mirror's record cannot be written: {error}"))
        .hint("the state directory must be writable, and on stable storage")
}
