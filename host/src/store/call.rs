//! Who acts, and the entry of the record for it.
//!
//! [`Db::write`](super::Db::write) adds an entry to every transaction of a known caller, and to those of the server itself in
//! which something notable happens. So nobody can forget one, and none can tell of a change that was not committed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::{
    Tx,
    audit::{AuditKey, append},
    now, owners,
    rows::plain,
    tx::Mark,
};
use crate::{
    domain::{
        access::{Owner, Subject},
        audit::{Actor, AuditEntry, Whose},
        event::{Event, EventKind},
    },
    error::Result,
    telemetry,
};

/// Longer texts of an entry are cut, in characters.
const LONGEST: usize = 300;
/// Bytes of `changes`; beyond that only the names of what changed are kept.
const MOST_CHANGES: usize = 16 * 1024;

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// What is done, as far as it is known from outside: a request, or a task of the queue.
#[derive(Debug)]
pub struct Call {
    pub action: String,
    pub subject: String,
    pub via: String,
    pub address: String,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    actor: Option<Actor>,
    why: String,
    outcome: &'static str,
    entries: u32,
    /// What it is about is theirs.
    whose: Whose,
}

impl Call {
    pub fn new(action: &str, subject: &str, via: &str, address: &str) -> Arc<Self> {
        let [action, subject, via, address] = [action, subject, via, address].map(cut);
        let told = Mutex::new(Told { outcome: "done", ..Told::default() });
        Arc::new(Self { action, subject, via, address, told })
    }

    fn told<T>(&self, ask: impl FnOnce(&mut Told) -> T) -> T {
        ask(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says who it is. From then on what is written has an entry.
    pub fn identify(&self, actor: Actor) {
        self.told(|told| told.actor = Some(actor));
    }

    pub fn is_identified(&self) -> bool {
        self.told(|told| told.actor.is_some())
    }

    /// How the next entry says it went: `done` unless said otherwise.
    pub fn ended(&self, outcome: &'static str) {
        self.told(|told| told.outcome = outcome);
    }

    /// Entries of it that are committed.
    pub fn entries(&self) -> u32 {
        self.told(|told| told.entries)
    }
}

/// Everything that `work` writes is done by this call.
pub async fn during<T>(call: Arc<Call>, work: impl Future<Output = T>) -> T {
    CALL.scope(call, work).await
}

pub(super) fn current() -> Option<Arc<Call>> {
    CALL.try_with(Arc::clone).ok()
}

/// Says who the running call is from; nothing happens outside of one.
pub fn identify(kind: &str, name: &str) {
    if let Some(call) = current() {
        call.identify(Actor::new(kind, name));
    }
}

/// Whether a call is running that the record may tell of.
pub fn is_running() -> bool {
    current().is_some()
}

/// Says that the running call is about something of that team. What is the installation's may be needed for a team's own
/// affairs, and does not make them others'.
pub fn concerns(owner: &Owner) {
    if let (Some(call), Owner::Team { .. }) = (current(), owner) {
        call.told(|told| told.whose.add(owner));
    }
}

/// Says why the running call is made, in its caller's words.
pub fn because(why: &str) {
    if let Some(call) = current() {
        call.told(|told| told.why = cut(why));
    }
}

/// Writes the entry of one transaction, if it is to have one.
pub(super) struct Recorder {
    call: Option<Arc<Call>>,
    key: Arc<AuditKey>,
    /// Of the span that asks for the transaction.
    trace: Option<String>,
    wrote: bool,
}

impl Recorder {
    pub fn new(call: Option<Arc<Call>>, key: Arc<AuditKey>) -> Self {
        Self { call, key, trace: telemetry::current(), wrote: false }
    }

    /// The first thing in the transaction: tasks that it adds belong to its caller's trace.
    pub fn begin(&self, tx: &mut Tx) {
        tx.set_trace(self.trace.clone());
    }

    /// The last thing in the transaction: from here on others that write entries wait for its end.
    pub async fn record(&mut self, tx: &mut Tx, mark: Mark) -> Result<()> {
        self.wrote = false;
        let (changes, owners) = (tx.take_changes(), tx.take_owners());
        let events = tx.events_since(mark);
        let told = events.iter().map(|event| json!({ "event": event.kind.as_str(), "data": event.data }));
        let facts: Vec<Value> = changes.iter().cloned().chain(told).collect();
        let notable = events.iter().find(|event| is_notable(event.kind));
        let Some(mut entry) = self.entry(&facts, changes.is_empty(), notable) else { return Ok(()) };
        let things: BTreeSet<(Subject, String)> = events.iter().filter_map(thing).collect();
        (entry.team, entry.project) = self.whose(tx, &owners, things).await?.place();
        append(tx, entry, self.key.get()).await?;
        self.wrote = true;
        Ok(())
    }

    /// Whose the things are that it tells of: what the call names, what the work itself says, and what its events are about.
    async fn whose(&self, tx: &mut Tx, said: &[Owner], things: BTreeSet<(Subject, String)>) -> Result<Whose> {
        let mut whose =
            self.call.as_ref().map(|call| call.told(|told| told.whose.clone())).unwrap_or_default();
        said.iter().for_each(|owner| whose.add(owner));
        for (subject, key) in things {
            if let Some(owner) = owners::owner(tx, subject, &key).await? {
                whose.add(&owner);
            }
        }
        Ok(whose)
    }

    /// A person's call has an entry for its first transaction and for those that tell something; the server's own work only
    /// where it decides something.
    fn entry(&self, facts: &[Value], unchanged: bool, notable: Option<&Event>) -> Option<AuditEntry> {
        let known = self.call.as_ref().and_then(|call| {
            call.told(|told| {
                let actor = told.actor.clone()?;
                (told.entries == 0 || !facts.is_empty())
                    .then(|| (call, actor, told.why.clone(), told.outcome))
            })
        });
        if let Some((call, actor, why, outcome)) = known {
            let changes = text_of(facts);
            return Some(entry(
                actor,
                call,
                (call.action.as_str(), call.subject.as_str()),
                outcome,
                why,
                changes,
            ));
        }
        if self.call.as_ref().is_some_and(|call| call.is_identified()) || (unchanged && notable.is_none()) {
            return None;
        }
        let changed = facts.first().and_then(|fact| fact["what"].as_str()).unwrap_or_default();
        let action = notable.map_or(changed, |event| event.kind.as_str());
        let subject = notable.and_then(|event| event.subject_id.as_ref()).map_or("", |id| id.as_str());
        let nobody = Call::new("", "", "", "");
        let call = self.call.as_ref().unwrap_or(&nobody);
        let why = match call.action.as_str() {
            "" => String::new(),
            kind => format!("{kind} {}", call.subject),
        };
        Some(entry(Actor::new("server", "windlass"), call, (action, subject), "done", why, text_of(facts)))
    }

    pub fn committed(&mut self) {
        if let (true, Some(call)) = (std::mem::take(&mut self.wrote), &self.call) {
            call.told(|told| told.entries += 1);
        }
    }
}

/// What the server decides by itself that somebody may ask about later.
fn is_notable(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::DeploymentStatus
            | EventKind::DeploymentApproval
            | EventKind::StackChanged
            | EventKind::PluginChanged
            | EventKind::CiBuildMoved
    )
}

/// What an event is about, to be asked whose it is.
fn thing(event: &Event) -> Option<(Subject, String)> {
    if let Some(stack) = &event.stack_id {
        return Some((Subject::Stack, stack.to_string()));
    }
    let subject = match event.kind {
        EventKind::CiBuildStatus | EventKind::CiBuildMoved => Subject::CiBuild,
        EventKind::ProviderChanged => Subject::Provider,
        EventKind::WebhookProcessed => Subject::Event,
        _ => return None,
    };
    Some((subject, event.subject_id.as_ref()?.to_string()))
}

fn text_of(facts: &[Value]) -> String {
    let whole = Value::from(facts.to_vec()).to_string();
    if whole.len() <= MOST_CHANGES {
        return whole;
    }
    let name = |fact: &Value| json!({ "what": fact["what"], "event": fact["event"], "cut": true });
    Value::from(facts.iter().take(50).map(name).collect::<Vec<_>>()).to_string()
}

fn entry(
    actor: Actor,
    call: &Call,
    (action, subject): (&str, &str),
    outcome: &str,
    why: String,
    changes: String,
) -> AuditEntry {
    AuditEntry {
        seq: 0,
        at: now(),
        actor_kind: actor.kind,
        actor: cut(&actor.name),
        via: call.via.clone(),
        address: call.address.clone(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        outcome: outcome.to_owned(),
        why,
        changes: plain(&changes),
        team: None,
        project: None,
        previous: String::new(),
        hash: String::new(),
    }
}

fn cut(text: &str) -> String {
    plain(&text.chars().take(LONGEST).collect::<String>())
}
