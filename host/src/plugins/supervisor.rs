//! Who may call what, and for how long: budgets of plugins and of those who call them, and circuit breakers. The deciding
//! is in `domain`; here are the clock, the locks, and who hears of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, mpsc};

use super::health::Ledger;
use super::payer::payer;
use super::settings::Limits;
use crate::domain::UnixMs;
use crate::domain::breaker::{Breaker, BreakerRules, BreakerStatus};
use crate::domain::budget::Budget;
use crate::error::PluginErrorKind;

/// Calls without a fault after which a component has proven itself.
const PROBATION: u32 = 20;
/// Something that does not answer is known for this many connections; more share one breaker.
const CONNECTIONS: usize = 4096;

/// What the server should know of a component, and write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Its breaker opened.
    Opened { plugin: String, digest: String, reason: String },
    /// It has answered often enough to be the one to return to.
    Proven { plugin: String, digest: String },
}

pub(super) struct Supervisor {
    rules: BreakerRules,
    cpu_limit_us: u64,
    wall_limit_us: u64,
    team_factor: u64,
    /// Calls at the same time of one component.
    share: usize,
    ledgers: Mutex<HashMap<String, Arc<Mutex<Ledger>>>>,
    teams: Mutex<HashMap<String, Arc<Mutex<Accounts>>>>,
    watches: Mutex<HashMap<(String, String), Arc<Watch>>>,
    notices: mpsc::UnboundedSender<Notice>,
    heard: tokio::sync::Mutex<mpsc::UnboundedReceiver<Notice>>,
}

/// What is known of one component under one name, as long as the server runs.
pub(super) struct Watch {
    plugin: String,
    digest: String,
    answered: AtomicU32,
    /// Its share of the calls at the same time: one plugin whose calls all hang must not keep the others from theirs.
    pub(super) share: Arc<Semaphore>,
    /// Only those that are not as good as new.
    breakers: Mutex<HashMap<Arc<str>, Breaker>>,
    ledger: Arc<Mutex<Ledger>>,
}

/// On whose behalf a call is made, and towards what.
#[derive(Debug, Clone)]
pub(super) struct Purpose {
    /// The account that is charged, in words: a team's, a person's, or the server's own.
    pub(super) owner: Arc<str>,
    /// What the call is for: a connection's id, or empty. Breakers are kept apart by it.
    pub(super) connection: Arc<str>,
}

impl Purpose {
    /// For whoever the running work is for, towards nothing that can fail by itself.
    pub(super) fn now() -> Self {
        static NOTHING: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
        Self { owner: payer(), connection: NOTHING.clone() }
    }
}

/// Processor and clock time of the last minute.
pub(super) struct Accounts {
    pub(super) cpu: Budget,
    pub(super) wall: Budget,
}

impl Accounts {
    pub(super) fn new(cpu_us: u64, wall_us: u64) -> Self {
        Self { cpu: Budget::new(cpu_us), wall: Budget::new(wall_us) }
    }

    pub(super) fn charge(&mut self, now: UnixMs, cpu: Duration, wall: Duration) {
        self.cpu.charge(now, us(cpu));
        self.wall.charge(now, us(wall));
    }

    fn check(&mut self, now: UnixMs, whose: fmt::Arguments<'_>) -> Result<(), PluginErrorKind> {
        let exceeded = |free_at: UnixMs, of: &'static str| PluginErrorKind::Budget {
            what: format!("the {of} time of {whose}"),
            free_at,
            free_in_ms: u64::try_from(free_at - now).unwrap_or(0),
        };
        match (self.cpu.free_at(now), self.wall.free_at(now)) {
            (Some(at), _) => Err(exceeded(at, "processor")),
            (None, Some(at)) => Err(exceeded(at, "clock")),
            (None, None) => Ok(()),
        }
    }
}

impl Supervisor {
    pub(super) fn new(limits: &Limits) -> Self {
        let (notices, heard) = mpsc::unbounded_channel();
        Self {
            rules: limits.breaker,
            cpu_limit_us: us(limits.cpu_per_minute),
            wall_limit_us: us(limits.wall_per_minute),
            team_factor: u64::from(limits.team_factor),
            share: (limits.concurrent_calls as usize).div_ceil(2),
            ledgers: Mutex::default(),
            teams: Mutex::default(),
            watches: Mutex::default(),
            notices,
            heard: tokio::sync::Mutex::new(heard),
        }
    }

    /// The component's watch: the same for the same bytes, so a reload forgets nothing.
    pub(super) fn watch(&self, plugin: &str, digest: &str) -> Arc<Watch> {
        let mut watches = lock(&self.watches);
        let watch = watches.entry((plugin.to_owned(), digest.to_owned())).or_insert_with(|| {
            Arc::new(Watch {
                plugin: plugin.to_owned(),
                digest: digest.to_owned(),
                answered: AtomicU32::new(0),
                share: Arc::new(Semaphore::new(self.share)),
                breakers: Mutex::default(),
                ledger: self.ledger(plugin),
            })
        });
        watch.clone()
    }

    /// Forgets components that nobody can call any more.
    pub(super) fn retain(&self, is_loaded: impl Fn(&str, &str) -> bool) {
        lock(&self.watches).retain(|(plugin, digest), _| is_loaded(plugin, digest));
    }

    pub(super) fn ledger(&self, plugin: &str) -> Arc<Mutex<Ledger>> {
        let new = || Arc::new(Mutex::new(Ledger::new(Accounts::new(self.cpu_limit_us, self.wall_limit_us))));
        lock(&self.ledgers).entry(plugin.to_owned()).or_insert_with(new).clone()
    }

    fn team(&self, owner: &str) -> Arc<Mutex<Accounts>> {
        let mut teams = lock(&self.teams);
        if let Some(team) = teams.get(owner) {
            return team.clone();
        }
        let limit = |of_one: u64| of_one.saturating_mul(self.team_factor);
        let accounts = Accounts::new(limit(self.cpu_limit_us), limit(self.wall_limit_us));
        teams.entry(owner.to_owned()).or_insert_with(|| Arc::new(Mutex::new(accounts))).clone()
    }

    /// Whether a call may go now.
    pub(super) fn enter(&self, watch: &Watch, purpose: &Purpose) -> Result<(), PluginErrorKind> {
        let now = now();
        lock(&watch.ledger).accounts.check(now, format_args!("this plugin"))?;
        let team = self.team(&purpose.owner);
        lock(&team).check(now, format_args!("{}", purpose.owner))?;
        let mut breakers = lock(&watch.breakers);
        let Some(breaker) = breakers.get_mut(&purpose.connection) else { return Ok(()) };
        breaker.admit(&self.rules, now).map_err(|free_at| PluginErrorKind::Suspended {
            reason: breaker.reason().to_owned(),
            free_at,
            free_in_ms: u64::try_from(free_at - now).unwrap_or(0),
        })
    }

    /// Writes down how a call ended, whatever way it did. True if it opened a breaker.
    pub(super) fn leave(
        &self,
        watch: &Watch,
        purpose: &Purpose,
        call: &str,
        error: Option<&PluginErrorKind>,
        (cpu, wall): (Duration, Duration),
    ) -> bool {
        let now = now();
        lock(&watch.ledger).record(now, call, error, cpu, wall);
        lock(&self.team(&purpose.owner)).charge(now, cpu, wall);
        match error.filter(|kind| kind.is_fault()) {
            None => {
                lock(&watch.breakers).remove(&purpose.connection);
                if watch.answered.fetch_add(1, Ordering::Relaxed) + 1 == PROBATION {
                    let (plugin, digest) = (watch.plugin.clone(), watch.digest.clone());
                    self.notify(Notice::Proven { plugin, digest });
                }
                false
            }
            Some(kind) => self.fault(watch, purpose, now, &kind.to_string()),
        }
    }

    fn fault(&self, watch: &Watch, purpose: &Purpose, now: UnixMs, reason: &str) -> bool {
        let mut breakers = lock(&watch.breakers);
        let is_known = breakers.contains_key(&purpose.connection) || breakers.len() < CONNECTIONS;
        let key = if is_known { purpose.connection.clone() } else { "".into() };
        let opened = breakers.entry(key).or_default().faulted(&self.rules, now, reason);
        drop(breakers);
        if opened {
            let (plugin, digest) = (watch.plugin.clone(), watch.digest.clone());
            tracing::warn!("[@plugins:breaker] Calls of plugin `{plugin}` are suspended: it {reason}");
            self.notify(Notice::Opened { plugin, digest, reason: format!("it {reason}") });
        }
        opened
    }

    fn notify(&self, notice: Notice) {
        // Only fails while the server ends, and then nobody needs to know.
        let _ = self.notices.send(notice);
    }

    /// The next notice; waits for one.
    pub(super) async fn notice(&self) -> Option<Notice> {
        self.heard.lock().await.recv().await
    }
}

impl Watch {
    pub(super) fn breakers(&self) -> Vec<BreakerStatus> {
        let breakers = lock(&self.breakers);
        let mut all: Vec<BreakerStatus> =
            breakers.iter().map(|(connection, breaker)| breaker.status(connection)).collect();
        all.sort_by(|a, b| a.connection.cmp(&b.connection));
        all
    }
}

pub(super) fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What is locked here is never left half changed, so a poisoned lock is as good as a sound one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Disposition;

    fn supervisor() -> Supervisor {
        let rules = BreakerRules { faults: 2, first_pause_ms: 60_000, ..BreakerRules::default() };
        let cpu_per_minute = Duration::from_millis(100);
        Supervisor::new(&Limits { breaker: rules, cpu_per_minute, team_factor: 1, ..Limits::default() })
    }

    fn purpose(owner: &str, connection: &str) -> Purpose {
        Purpose { owner: owner.into(), connection: connection.into() }
    }

    const NOTHING: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

    #[test]
    fn what_fails_towards_one_connection_goes_on_towards_another() {
        let supervisor = supervisor();
        let watch = supervisor.watch("forge", "aa");
        let (one, two) = (purpose("team `ours`", "one"), purpose("team `ours`", "two"));
        let trap = PluginErrorKind::Trap("unreachable".into());
        assert!(!supervisor.leave(&watch, &one, "call", Some(&trap), NOTHING));
        assert!(supervisor.leave(&watch, &one, "call", Some(&trap), NOTHING));
        assert!(matches!(supervisor.enter(&watch, &one), Err(PluginErrorKind::Suspended { .. })));
        assert!(supervisor.enter(&watch, &two).is_ok());
        // The same name with other bytes is another component.
        assert!(supervisor.enter(&supervisor.watch("forge", "bb"), &one).is_ok());
        assert_eq!(watch.breakers().len(), 1);
    }

    #[test]
    fn a_failure_is_an_answer_and_opens_nothing() {
        let supervisor = supervisor();
        let watch = supervisor.watch("forge", "aa");
        let purpose = Purpose::now();
        let (code, message) = ("no".to_owned(), "no such branch".to_owned());
        let (disposition, request_sent) = (Disposition::Permanent, false);
        let failure = PluginErrorKind::Failure { code, message, disposition, request_sent };
        for _ in 0..10 {
            assert!(!supervisor.leave(&watch, &purpose, "call", Some(&failure), NOTHING));
        }
        assert!(supervisor.enter(&watch, &purpose).is_ok());
    }

    #[test]
    fn a_team_is_charged_for_all_its_plugins_and_no_other_team_is() {
        let supervisor = supervisor();
        let (first, second) = (supervisor.watch("first", "aa"), supervisor.watch("second", "bb"));
        let (ours, theirs) = (purpose("team `ours`", ""), purpose("team `theirs`", ""));
        let trap = PluginErrorKind::Trap("unreachable".into());
        let used = (Duration::from_millis(60), Duration::from_millis(60));
        // Charged although the call ended in a trap.
        supervisor.leave(&first, &ours, "call", Some(&trap), used);
        supervisor.leave(&second, &ours, "call", None, used);
        match supervisor.enter(&second, &ours) {
            Err(PluginErrorKind::Budget { what, .. }) => {
                assert_eq!(what, "the processor time of team `ours`")
            }
            other => panic!("{other:?}"),
        }
        assert!(supervisor.enter(&second, &theirs).is_ok());
    }

    #[tokio::test]
    async fn a_component_proves_itself_by_answering() {
        let supervisor = supervisor();
        let watch = supervisor.watch("forge", "aa");
        for _ in 0..PROBATION {
            supervisor.leave(&watch, &Purpose::now(), "call", None, NOTHING);
        }
        let proven = Notice::Proven { plugin: "forge".into(), digest: "aa".into() };
        assert_eq!(supervisor.notice().await, Some(proven));
    }
}
