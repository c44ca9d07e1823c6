//! Making a journal durable, and what may only happen once it is: letting go of what was replayed, and of segments.

use std::collections::BTreeSet;
use std::io;

use crate::draft::Draft;
use crate::error::JournalError;
use crate::mark::{Mark, open_mark};
use crate::record::Kind;
use crate::segment::{Slot, Stage, name_of};
use crate::storage::SegmentFile;
use crate::writer::{Purpose, Writer};
use crate::{Journal, Sequence};

/// How many index entries are dropped in one hold of the index lock.
const DROP_STEP: usize = 4096;

impl Journal {
    /// Makes every change durable whose append returned before this call. Blocks for `fdatasync`; appends go on
    /// meanwhile. That segments in which nothing is live are not needed is made durable with it, and one of them is deleted;
    /// [`wants_reclaim`](Self::wants_reclaim) tells where there are more.
    ///
    /// # Errors
    /// A failure is latched and never tried again: every later append and sync fails with
    /// [`JournalError::PreviousFailure`].
    pub fn sync(&self) -> Result<(), JournalError> {
        self.check_failure()?;
        let wanted = self.writer.lock().newest_to_sync;
        let _turn = self.syncing.lock();
        self.check_failure()?;
        if self.writer.lock().synced >= wanted {
            return Ok(());
        }
        self.sync_in_turn().map(drop)
    }

    /// Syncs, with a last record that says so, so that the next open can tell damage from a torn tail throughout.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn close(&self) -> Result<(), JournalError> {
        self.check_failure()?;
        let _turn = self.syncing.lock();
        self.sync_in_turn()?;
        let covered = self.sync_unsynced()?;
        let newest = self.writer.lock().newest_number();
        self.write_mark(newest, covered)
    }

    /// Notes, durably, that every change up to `up_to` is on the medium and was synced there. Then they are dropped. A
    /// crash leaves the state before or after. Segments without live extents stay on the disk until
    /// [`delete_retired`](Self::delete_retired), or reclaiming, deletes them: that takes time, and nobody has to wait for it.
    ///
    /// Afterwards nothing live is as old as `up_to`. A copy that relocation made of a replayed extent is newer, and is
    /// to be replayed once more: the journal is done with when [`is_empty`](Self::is_empty) says so.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); and where there is no room for the record.
    pub fn mark_replayed(&self, up_to: Sequence) -> Result<(), JournalError> {
        self.check_failure()?;
        let _upkeep = self.upkeep.lock();
        let up_to = up_to.min(self.head());
        if up_to <= self.writer.lock().replayed {
            return Ok(());
        }
        let _turn = self.syncing.lock();
        let emptied = self.emptied_by_dropping(up_to);
        self.note_replayed(up_to, &emptied)?;
        let covered = self.sync_unsynced()?;
        self.drop_up_to(up_to);
        self.note_synced(covered)
    }

    /// Deletes the file of one segment that is durably known not to be needed. Whether there was one. Blocks for the
    /// deletion of one file, which may wait for a sync that is under way.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn delete_retired(&self) -> Result<bool, JournalError> {
        self.check_failure()?;
        Ok(self.delete_one_known()? > 0)
    }

    /// Deletes one segment that is durably known not to be needed. Gives its bytes; 0, without waiting, where there is none.
    pub(crate) fn delete_one_known(&self) -> Result<u64, JournalError> {
        let synced = self.writer.lock().synced;
        if self.next_to_delete(synced).is_none() {
            return Ok(0);
        }
        let _turn = self.syncing.lock();
        self.delete_one_retired(synced)
    }

    /// One whole sync, in this thread's turn: retires what is dead, syncs, deletes a segment, and notes that it was done. Gives the
    /// bytes of the deleted one.
    pub(crate) fn sync_in_turn(&self) -> Result<u64, JournalError> {
        self.retire_dead()?;
        let covered = self.sync_unsynced()?;
        let bytes = self.delete_one_retired(covered)?;
        self.note_synced(covered)?;
        Ok(bytes)
    }

    fn retire_dead(&self) -> Result<(), JournalError> {
        let dead: Vec<Slot> = {
            let index = self.index.read();
            index.segments.iter().filter(|(_, s)| s.is_dead()).map(|(slot, _)| slot).collect()
        };
        match self.retire(&mut self.writer.lock(), &[], &dead) {
            // They stay, for now. What there is to sync is synced all the same.
            Err(JournalError::Full | JournalError::StorageFull(_)) => Ok(()),
            retired => retired,
        }
    }

    /// Appends that these segments are not needed, behind the records by which that came about. Where there is no room for a new
    /// segment that of as many as fit: to let go of some makes room for the rest.
    fn retire(
        &self,
        writer: &mut Writer,
        drafts: &[Draft],
        slots: &[Slot],
    ) -> Result<(), JournalError> {
        let retired = self.retire_all(writer, drafts, slots);
        let fitting = writer.control_records_that_fit();
        match retired {
            Err(JournalError::Full | JournalError::StorageFull(_))
                if fitting >= drafts.len().max(1) =>
            {
                let some = slots.get(..fitting - drafts.len()).unwrap_or(slots);
                self.retire_all(writer, drafts, some)
            }
            other => other,
        }
    }

    fn retire_all(
        &self,
        writer: &mut Writer,
        drafts: &[Draft],
        slots: &[Slot],
    ) -> Result<(), JournalError> {
        let mut drafts = drafts.to_vec();
        let mut retiring = Vec::new();
        {
            let index = self.index.read();
            for &slot in slots {
                let state = index.segments.get(slot).filter(|s| s.stage == Stage::Sealed);
                if let Some(state) = state {
                    drafts.push(Draft::plain(Kind::Retired, state.segment.number, 0));
                    retiring.push(slot);
                }
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        writer
            .append(&self.ground, &self.index, drafts, Purpose::Control)
            .map_err(|error| self.fail(error))?;
        let by = writer.newest_to_sync;
        let mut index = self.index.write();
        for slot in retiring {
            index.segments.holder_mut(slot).stage = Stage::Retired(by);
        }
        Ok(())
    }

    /// Brings to stable storage what was appended before. Gives the newest record that this covers.
    fn sync_unsynced(&self) -> Result<Sequence, JournalError> {
        let unsynced = self.writer.lock().take_unsynced();
        for segment in &unsynced.segments {
            segment.file.sync_data().map_err(|source| {
                self.fail_io(format!("sync segment {}", segment.number), source)
            })?;
        }
        if unsynced.segment_begun {
            // There before the directory is synced, and written when what it speaks of is durable.
            self.with_mark(|_| Ok(()))?;
        }
        if unsynced.directory {
            self.ground
                .storage
                .sync_directory()
                .map_err(|source| self.fail_io("sync the directory".into(), source))?;
        }
        if unsynced.segment_begun {
            self.write_mark(unsynced.newest, unsynced.covered)?;
        }
        self.check_failure()?;
        self.writer.lock().synced = unsynced.covered;
        Ok(unsynced.covered)
    }

    fn write_mark(&self, segment: u64, synced: Sequence) -> Result<(), JournalError> {
        let mark = Mark { volume: self.ground.volume.id, segment, synced };
        self.with_mark(|file| mark.write(file))
    }

    /// Does something with the mark's file, unless there is no room for one.
    fn with_mark(
        &self,
        work: impl FnOnce(&dyn SegmentFile) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        let opened = open_mark(&*self.ground.storage);
        let done = opened.and_then(|file| file.map_or(Ok(()), |file| work(&*file)));
        done.map_err(|source| self.fail_io("sync the mark".into(), source))
    }

    /// Deletes one segment whose retirement is durable and to which nothing refers. Gives its bytes; 0 where there is none.
    fn delete_one_retired(&self, synced: Sequence) -> Result<u64, JournalError> {
        let Some((slot, number)) = self.next_to_delete(synced) else { return Ok(0) };
        self.ground
            .storage
            .remove(&name_of(number))
            .map_err(|source| self.fail_io(format!("delete segment {number}"), source))?;
        // Only now, so that the files never take more than the limit.
        let removed = self.index.write().segments.remove(slot);
        self.writer.lock().note_removal(number);
        Ok(removed.map_or(0, |state| state.segment.length))
    }

    /// The first segment whose retirement is durable and to which nothing refers.
    pub(crate) fn next_to_delete(&self, synced: Sequence) -> Option<(Slot, u64)> {
        let index = self.index.read();
        let mut retired = index.segments.iter().filter(|(_, state)| {
            state.is_left_over() && matches!(state.stage, Stage::Retired(by) if by <= synced)
        });
        retired.next().map(|(slot, state)| (slot, state.segment.number))
    }

    fn note_synced(&self, covered: Sequence) -> Result<(), JournalError> {
        let mut writer = self.writer.lock();
        writer.append_barrier(covered).map_err(|error| self.fail(error))
    }

    /// The full segments in which nothing is newer than `up_to`.
    fn emptied_by_dropping(&self, up_to: Sequence) -> Vec<Slot> {
        let index = self.index.read();
        let kept: BTreeSet<Slot> = if index.head <= up_to {
            BTreeSet::new()
        } else {
            let newer = index.iter().filter(|(_, entry)| entry.sequence > up_to);
            newer.map(|(_, entry)| entry.slot).collect()
        };
        let sealed = index.segments.iter().filter(|(_, state)| state.stage == Stage::Sealed);
        sealed.map(|(slot, _)| slot).filter(|slot| !kept.contains(slot)).collect()
    }

    fn note_replayed(&self, up_to: Sequence, emptied: &[Slot]) -> Result<(), JournalError> {
        let mut writer = self.writer.lock();
        self.check_failure()?;
        let draft = Draft::plain(Kind::Replayed, up_to.get(), 0);
        // Before the record, so that a segment that has to be begun for it says the same in its header.
        let before = std::mem::replace(&mut writer.replayed, up_to);
        let noted = self.retire(&mut writer, &[draft], emptied);
        if noted.is_err() {
            writer.replayed = before;
        }
        noted
    }

    fn drop_up_to(&self, up_to: Sequence) {
        // A million extents take a while to be let go of one by one, and nobody need wait for that.
        let dropped = self.index.write().take_all_up_to(up_to);
        if dropped.is_some() {
            return;
        }
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.index.write().drop_up_to(up_to, from, DROP_STEP);
        }
    }
}

#[cfg(test)]
mod tests;
