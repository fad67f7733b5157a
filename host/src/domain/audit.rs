//! The record: who did what, when, from where and why, in a chain of hashes.
//!
//! An entry's hash is the SHA-256 of a JSON array of its fields and of the hash before it, in the order of
//! [`AuditEntry::digest`], so anybody can check an export with any tool.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::access::Owner;
use super::sealed::Sealed;
use super::{Id, UnixMs};

pub const MAC_KEY_BYTES: usize = 32;

/// Who acted: a kind (`user`, `token` with its name, `task`, `server`, `nobody`) and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub kind: String,
    pub name: String,
}

impl Actor {
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Without gaps, in commit order.
    pub seq: i64,
    pub at: UnixMs,
    pub actor_kind: String,
    pub actor: String,
    /// `api`, `cli`, `dashboard`; empty for what the server decides.
    pub via: String,
    /// The client's IP address; empty for what the server decides.
    pub address: String,
    /// An operation of the API, such as `stack_update`, or the kind of an event.
    pub action: String,
    /// The path of the request, or the id of what the event is about.
    pub subject: String,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
    pub why: String,
    /// JSON: what was different before and after, and which events that caused. Without secrets.
    pub changes: String,
    /// The team whose things it is about, and whose administrators see it; none for the installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
    /// The team's project, if it is about that one alone: its own administrators see the entry as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Id>,
    /// The hash of the entry before; empty for the first.
    pub previous: String,
    pub hash: String,
}

impl AuditEntry {
    /// What `hash` has to be.
    pub fn digest(&self) -> String {
        let mut fields = json!([
            self.previous,
            self.seq,
            self.at,
            self.actor_kind,
            self.actor,
            self.via,
            self.address,
            self.action,
            self.subject,
            self.outcome,
            self.why,
            self.changes,
        ]);
        // Entries that were written before there were teams and projects in them have the hash that they had then. A project
        // has the place after the team even without one, so neither can be taken for the other.
        if let Some(fields) = fields.as_array_mut() {
            if self.team.is_some() || self.project.is_some() {
                fields.push(json!(self.team));
            }
            fields.extend(self.project.iter().map(|project| json!(project)));
        }
        hex::encode(Sha256::digest(fields.to_string()))
    }
}

/// Whose the things are that an entry is about, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Whose {
    /// Nobody's in particular, or nobody knows.
    #[default]
    Nobodys,
    /// A team's: that of one of its projects, or of the team as a whole.
    Team { team: Id, project: Option<Id> },
    /// Several teams', or a team's and the installation's: for those alone who see everything.
    Several,
}

impl Whose {
    /// It is about that as well.
    pub fn add(&mut self, owner: &Owner) {
        let new = match owner {
            Owner::Person(_) | Owner::Everyone => return,
            Owner::Team { team, project } => Some((team, project)),
            Owner::Installation => None,
        };
        *self = match (std::mem::take(self), new) {
            (Self::Nobodys, Some((team, project))) => {
                Self::Team { team: team.clone(), project: project.clone() }
            }
            (Self::Team { team: known, project }, Some((team, other))) if known == *team => {
                // What is about two of its projects, or about one and the team as a whole, is the team's.
                Self::Team { team: known, project: project.filter(|project| other.as_ref() == Some(project)) }
            }
            _ => Self::Several,
        };
    }

    /// The one team that may know of it, and the one project of it.
    pub fn place(self) -> (Option<Id>, Option<Id>) {
        match self {
            Self::Team { team, project } => (Some(team), project),
            Self::Nobodys | Self::Several => (None, None),
        }
    }
}

/// The ends of the chain that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the first entry that is kept; older ones were removed when their time was over.
    pub first: i64,
    /// The hash before it.
    pub base: String,
    /// The last entry, 0 before the first, and its hash.
    pub seq: i64,
    pub hash: String,
    /// HMAC-SHA256 over all of that.
    pub mac: String,
}

impl AuditHead {
    pub fn sealed(self, key: &[u8; MAC_KEY_BYTES]) -> Self {
        Self { mac: hex::encode(self.tag(key).finalize().into_bytes()), ..self }
    }

    pub fn is_genuine(&self, key: &[u8; MAC_KEY_BYTES]) -> bool {
        hex::decode(&self.mac).is_ok_and(|mac| self.tag(key).verify_slice(&mac).is_ok())
    }

    fn tag(&self, key: &[u8; MAC_KEY_BYTES]) -> Hmac<Sha256> {
        let text = json!([self.first, self.base, self.seq, self.hash]).to_string();
        // A short key is filled up with zeros (RFC 2104).
        let mut block = [0; 64];
        block[..MAC_KEY_BYTES].copy_from_slice(key);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(text.as_bytes());
        mac
    }
}

/// A signed statement that the chain had this end at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub seq: i64,
    pub hash: String,
    pub at: UnixMs,
    /// ECDSA on P-256 with SHA-256 over [`Checkpoint::statement`], DER in base64.
    pub signature: String,
}

impl Checkpoint {
    pub fn statement(&self) -> String {
        format!("windlass audit checkpoint\n{}\n{}\n{}\n", self.seq, self.hash, self.at)
    }
}

/// Follows the chain entry by entry, from the oldest that is kept.
#[derive(Debug, Clone)]
pub struct Chain {
    next: i64,
    hash: String,
}

impl Chain {
    pub fn after(first: i64, base: &str) -> Self {
        Self { next: first, hash: base.to_owned() }
    }

    /// The number of the last entry, and its hash.
    pub fn end(&self) -> (i64, &str) {
        // A file may claim any number.
        (self.next.saturating_sub(1), &self.hash)
    }

    /// # Errors
    /// What is wrong with this entry, in words.
    pub fn push(&mut self, entry: &AuditEntry) -> Result<(), String> {
        let seq = entry.seq;
        if seq > self.next {
            return Err(format!("entry {} is missing: the one after it is {seq}", self.next));
        }
        if seq < self.next {
            return Err(format!("entry {seq} is before the first one that is kept, or there twice"));
        }
        if entry.previous != self.hash {
            return Err(format!("entry {seq} does not follow the one before it"));
        }
        if entry.digest() != entry.hash {
            return Err(format!("entry {seq} is not what it was when it was written"));
        }
        self.hash.clone_from(&entry.hash);
        self.next = self.next.saturating_add(1);
        Ok(())
    }
}

/// What is different between two states, field by field, with secrets left out.
pub fn difference(before: Value, after: Value) -> Value {
    let (mut before, mut after) = (without_secrets(before), without_secrets(after));
    if let (Value::Object(old), Value::Object(new)) = (&mut before, &mut after) {
        let same: Vec<String> = old.keys().filter(|key| old.get(*key) == new.get(*key)).cloned().collect();
        for key in same {
            old.remove(&key);
            new.remove(&key);
        }
    }
    json!({ "before": before, "after": after })
}

/// Sealed texts, and the values of variables that are marked as secret, are replaced.
pub fn without_secrets(value: Value) -> Value {
    match value {
        Value::String(text) if Sealed::is_one(&text) => Value::String("(sealed)".into()),
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        Value::Object(mut members) => {
            if members.get("secret") == Some(&Value::Bool(true)) && members.contains_key("value") {
                members.insert("value".into(), Value::String("(secret)".into()));
            }
            let clean: Map<String, Value> =
                members.into_iter().map(|(name, value)| (name, without_secrets(value))).collect();
            Value::Object(clean)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: i64) -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for seq in 1..=count {
            let mut entry = AuditEntry {
                seq,
                at: seq,
                actor_kind: "token".into(),
                actor: "ada".into(),
                via: "api".into(),
                address: "127.0.0.1".into(),
                action: "stack_update".into(),
                subject: "/api/v1/stacks/web".into(),
                outcome: "done".into(),
                why: String::new(),
                changes: "[]".into(),
                team: (seq > 2).then(|| Id::from_text("team-1")),
                project: (seq > 3).then(|| Id::from_text("project-1")),
                previous: entries.last().map(|last| last.hash.clone()).unwrap_or_default(),
                hash: String::new(),
            };
            entry.hash = entry.digest();
            entries.push(entry);
        }
        entries
    }

    fn follow(entries: &[AuditEntry]) -> Result<i64, String> {
        let mut chain = Chain::after(1, "");
        entries.iter().try_for_each(|entry| chain.push(entry))?;
        Ok(chain.end().0)
    }

    #[test]
    fn an_edited_missing_doubled_or_swapped_entry_breaks_the_chain() {
        let good = chain(5);
        assert_eq!(follow(&good), Ok(5));
        for at in 0..5 {
            let mut edited = good.clone();
            edited[at].actor = "eve".into();
            assert!(follow(&edited).is_err());
            for team in
                [None, Some(Id::from_text("team-2"))].into_iter().filter(|team| *team != good[at].team)
            {
                let mut moved = good.clone();
                moved[at].team = team;
                assert!(follow(&moved).is_err());
            }
            for project in
                [None, Some(Id::from_text("project-2"))].into_iter().filter(|of| *of != good[at].project)
            {
                let mut moved = good.clone();
                moved[at].project = project;
                assert!(follow(&moved).is_err());
            }
            // What was a team's id is not taken for a project's, nor the other way round.
            if good[at].team.is_some() || good[at].project.is_some() {
                let mut swapped = good.clone();
                (swapped[at].team, swapped[at].project) = (good[at].project.clone(), good[at].team.clone());
                assert!(follow(&swapped).is_err());
            }
            // With a hash of its own it does not fit the next one any more; the last one does not fit the head.
            edited[at].hash = edited[at].digest();
            assert_eq!(follow(&edited).is_err(), at < 4);
            let mut doubled = good.clone();
            doubled.insert(at, good[at].clone());
            assert!(follow(&doubled).is_err());
        }
        for at in 0..4 {
            let mut missing = good.clone();
            missing.remove(at);
            assert!(follow(&missing).is_err());
            let mut swapped = good.clone();
            swapped.swap(at, at + 1);
            assert!(follow(&swapped).is_err());
        }
    }

    #[test]
    fn a_chain_may_claim_to_begin_at_any_number() {
        for first in [i64::MIN, i64::MAX] {
            let mut entry = AuditEntry { seq: first, ..chain(1).remove(0) };
            entry.hash = entry.digest();
            let mut chain = Chain::after(first, "");
            chain.end();
            assert_eq!(chain.push(&entry), Ok(()));
            assert_eq!(chain.end().1, entry.hash);
        }
    }

    #[test]
    fn an_entry_without_a_team_or_project_has_the_hash_that_it_had_before_there_were_any() {
        let fields =
            r#"["",1,1,"token","ada","api","127.0.0.1","stack_update","/api/v1/stacks/web","done","","[]"]"#;
        assert_eq!(chain(1)[0].hash, hex::encode(Sha256::digest(fields)));
        let third = chain(3).remove(2);
        let fields = format!(
            r#"["{}",3,3,"token","ada","api","127.0.0.1","stack_update","/api/v1/stacks/web","done","","[]","team-1"]"#,
            third.previous
        );
        assert_eq!(third.hash, hex::encode(Sha256::digest(fields)));
    }

    #[test]
    fn what_is_about_two_teams_or_the_installation_is_no_teams_own() {
        let team = |id: &str| Owner::Team { team: Id::from_text(id), project: None };
        let whose = |owners: &[Owner]| {
            let mut whose = Whose::default();
            owners.iter().for_each(|owner| whose.add(owner));
            whose.place().0.map(|id| id.to_string())
        };
        assert_eq!(whose(&[]), None);
        assert_eq!(whose(&[team("a"), Owner::Everyone, team("a")]).as_deref(), Some("a"));
        assert_eq!(whose(&[team("a"), team("b"), team("a")]), None);
        assert_eq!(whose(&[team("a"), Owner::Installation]), None);
        assert_eq!(whose(&[Owner::Installation, team("a")]), None);
    }

    #[test]
    fn what_is_about_two_projects_or_a_project_and_its_team_is_the_teams() {
        let of = |team: &str, project: Option<&str>| Owner::Team {
            team: Id::from_text(team),
            project: project.map(Id::from_text),
        };
        let place = |owners: &[Owner]| {
            let mut whose = Whose::default();
            owners.iter().for_each(|owner| whose.add(owner));
            whose.place()
        };
        let (team, project) = (Some(Id::from_text("a")), Some(Id::from_text("p")));
        let p = of("a", Some("p"));
        assert_eq!(place(&[p.clone(), Owner::Everyone, p.clone()]), (team.clone(), project));
        for other in [of("a", None), of("a", Some("q"))] {
            assert_eq!(place(&[p.clone(), other.clone(), p.clone()]), (team.clone(), None));
            assert_eq!(place(&[other, p.clone()]), (team.clone(), None));
        }
        assert_eq!(place(&[p.clone(), of("b", Some("p"))]), (None, None));
        assert_eq!(place(&[p, Owner::Installation]), (None, None));
    }

    #[test]
    fn a_head_is_genuine_only_as_it_was_sealed() {
        let head = AuditHead { first: 1, base: String::new(), seq: 5, hash: "a".into(), mac: String::new() };
        let sealed = head.clone().sealed(&[1; 32]);
        assert!(sealed.is_genuine(&[1; 32]));
        assert!(!sealed.is_genuine(&[2; 32]) && !head.is_genuine(&[1; 32]));
        for changed in [
            AuditHead { first: 2, ..sealed.clone() },
            AuditHead { base: "x".into(), ..sealed.clone() },
            AuditHead { seq: 4, ..sealed.clone() },
            AuditHead { hash: "b".into(), ..sealed.clone() },
        ] {
            assert!(!changed.is_genuine(&[1; 32]), "{changed:?}");
        }
    }

    #[test]
    fn a_difference_shows_what_changed_and_no_secret() {
        let before =
            json!({ "a": 1, "b": "x", "env": [{ "name": "KEY", "value": "planted", "secret": true }] });
        let after = json!({ "a": 1, "b": "y", "token": "x2:1:planted:planted", "env": [] });
        let text = difference(before, after).to_string();
        assert!(!text.contains("planted") && !text.contains("\"a\""), "{text}");
        assert!(text.contains("(sealed)") && text.contains("(secret)") && text.contains("\"y\""), "{text}");
    }
}
