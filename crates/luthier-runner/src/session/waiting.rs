//! Workers without work: when they look for news, and who of several goes first.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use luthier_core::{SessionId, TrialId};

use super::worker::LOOK_EVERY;
use super::{RunError, Shared};
use crate::Ledger;

/// How long a worker without work waits before it asks for news of others: at first, at most where there is some each
/// time, and at most.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
const BUSY_WAIT: Duration = Duration::from_millis(40);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// How long a worker leaves what is free to others who have waited longer, and how often it looks.
const STEP_BACK: Duration = LOOK_EVERY;
const STEP_BACK_LOOK: Duration = Duration::from_millis(20);

/// A session that has had so many trials fewer than another one will not come for its own.
const FAR_BEHIND: u64 = 8;

/// So many sessions go first come, first served: their rounds are short, and to wait for each other would take longer.
pub(super) const FEW: usize = 8;

impl Shared<'_> {
    /// Waits until there may be something to do: somebody here or elsewhere has stored something, the work is to end,
    /// or it is time to look for sessions that are no more.
    pub(super) fn wait_for_news(&self, mut ledger: MutexGuard<'_, Ledger>) -> Result<(), RunError> {
        let (mut seen, started) = (ledger.history().revision(), Instant::now());
        let mut pause = SHORTEST_WAIT;
        loop {
            let woken = self.changed.wait_timeout(ledger, pause);
            ledger = woken.unwrap_or_else(PoisonError::into_inner).0;
            if ledger.history().revision() == seen {
                ledger.catch_up()?;
            }
            let is_new = ledger.history().revision() > seen;
            let is_due = is_new && Self::may_have_work(&ledger);
            if is_due || self.stop().is_some() || started.elapsed() > LOOK_EVERY {
                return Ok(());
            }
            seen = ledger.history().revision();
            pause = (pause * 2).min(if is_new { BUSY_WAIT } else { LONGEST_WAIT });
        }
    }

    /// Waits until those who have waited longer have had what is free, or have not come for it.
    pub(super) fn step_back(&self, mut ledger: MutexGuard<'_, Ledger>) -> Result<(), RunError> {
        let living = self.place.0.living(self.place.1)?;
        let started = Instant::now();
        while started.elapsed() < STEP_BACK
            && self.stop().is_none()
            && Self::others_first(&ledger, |session| living.contains(&session))
        {
            let woken = self.changed.wait_timeout(ledger, STEP_BACK_LOOK);
            ledger = woken.unwrap_or_else(PoisonError::into_inner).0;
            ledger.catch_up()?;
        }
        Ok(())
    }

    /// Whether what others have stored may be of use to a worker without work: a trial that is in nobody's hands, or the end
    /// of a session, and so of the study perhaps. Who stores what a trial has said decides by it in the same turn; many
    /// wait for the same moment, and a turn of each of them after each event would cost more than all the rest.
    pub(super) fn may_have_work(ledger: &Ledger) -> bool {
        let history = ledger.history();
        let is_free = |id: &TrialId| history.trial(*id).is_some_and(|trial| trial.holder.is_none());
        !history.is_ordered() || ledger.hears_of_an_end() || history.runnable().iter().any(is_free)
    }

    /// Whether what is free is for others: as many living sessions as there are free trials wait, and have had fewer than
    /// this one. Trials of equal length come to their ends together, and many begin together; who is done with one first
    /// would else have a second, and who comes too late waits for all to end again.
    pub(super) fn others_first(ledger: &Ledger, lives: impl Fn(SessionId) -> bool) -> bool {
        let history = ledger.history();
        let sessions = history.sessions();
        let Some(mine) = ledger.session().and_then(|me| sessions.get(&me)) else { return false };
        let behind = |taken: u64| taken < *mine && mine - taken <= FAR_BEHIND;
        if sessions.len() <= FEW || !sessions.values().any(|taken| behind(*taken)) {
            return false;
        }
        let busy: BTreeSet<SessionId> = history.open().filter_map(|trial| trial.holder).collect();
        let waits = |(id, taken): &(&SessionId, &u64)| behind(**taken) && !busy.contains(id) && lives(**id);
        let others = sessions.iter().filter(waits).count();
        let is_free = |id: &&TrialId| history.trial(**id).is_some_and(|trial| trial.holder.is_none());
        others > 0 && others >= history.runnable().iter().filter(is_free).count()
    }
}
