//! What was minted, until it expires. One mint serves all calls of a connection that wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::connection::{Connection, Rotation, Secret};
use super::mint::{Minted, Recipe};
use super::policy::Audience;
use super::refusal::Refusal;
use super::{Broker, session};
use crate::domain::plugin::CredentialSlot;

/// Tokens kept at once; those that expired make room.
const KEPT: usize = 1024;
/// How long a token is still looked for after its end, and how many are at most for one connection.
const AFTERLIFE: Duration = Duration::from_secs(3600);
const REMEMBERED: usize = 32;
/// A mint ends by itself even if the call that began it was given up.
const LONGEST_MINT: Duration = Duration::from_secs(30);

/// How many of the refresh tokens that followed each other still lead to the newest: a call may have begun with an old one.
const PREDECESSORS: usize = 32;

/// Base URL, slot, recipe and secret together, hashed: a changed secret or recipe never gets another one's token. Connections
/// that have all of that in common share one, so a refresh token that a test of a connection has traded is not lost to it.
type Key = [u8; 32];

#[derive(Default)]
pub(super) struct Tokens {
    cells: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Cell>>>>,
    /// By connection, what was minted for it and may still be good: no call on it may see any of that.
    known: Mutex<HashMap<Key, Vec<Arc<Minted>>>>,
}

#[derive(Default)]
pub(super) struct Cell {
    token: Option<Arc<Minted>>,
    /// The refresh token that took the place of the connection's.
    rotated: Option<Secret>,
    /// The one that is still stored in its place.
    unsaved: Option<Secret>,
    /// Where this cell is found, oldest first, once there was a successor.
    keys: Vec<Key>,
}

/// A token, and whether it was minted for this very request.
pub(super) struct Token {
    pub(super) minted: Arc<Minted>,
    pub(super) is_fresh: bool,
}

impl Tokens {
    /// What was minted for the connection, or used on it, by whichever call.
    pub(super) fn of(&self, connection: &Connection) -> Vec<Arc<Minted>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&identity(connection)).cloned().unwrap_or_default()
    }

    fn remember(&self, connection: &Connection, minted: &Arc<Minted>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, tokens| {
            tokens.retain(|token| token.until + AFTERLIFE > now);
            !tokens.is_empty()
        });
        let tokens = known.entry(identity(connection)).or_default();
        if tokens.iter().any(|token| Arc::ptr_eq(token, minted)) {
            return;
        }
        tokens.push(minted.clone());
        // The oldest are the likeliest to be worth nothing any more.
        let surplus = tokens.len().saturating_sub(REMEMBERED);
        tokens.drain(..surplus);
    }

    fn cell(&self, key: Key) -> Arc<tokio::sync::Mutex<Cell>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= KEPT {
            cells.retain(|_, cell| match cell.try_lock() {
                // A refresh token that only we know is kept.
                Ok(cell) => cell.rotated.is_some() || cell.usable(None).is_some(),
                Err(_) => true,
            });
        }
        cells.entry(key).or_default().clone()
    }

    /// Has a refresh token's successor lead to the same cell.
    fn succeed(&self, cell: &mut OwnedMutexGuard<Cell>, before: Key, after: Key) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.insert(after, OwnedMutexGuard::mutex(cell).clone());
        if cell.keys.is_empty() {
            cell.keys.push(before);
        }
        cell.keys.retain(|key| *key != after);
        cell.keys.push(after);
        // The one that is stored has to go on leading here.
        if cell.unsaved.is_none() && cell.keys.len() > PREDECESSORS {
            let surplus = cell.keys.len() - PREDECESSORS;
            for key in cell.keys.drain(..surplus) {
                cells.remove(&key);
            }
        }
    }
}

impl Cell {
    /// `stale` is a token that the other side no longer takes.
    fn usable(&self, stale: Option<&Arc<Minted>>) -> Option<Arc<Minted>> {
        let token = self.token.as_ref()?;
        let is_stale = stale.is_some_and(|stale| Arc::ptr_eq(stale, token));
        (!is_stale && token.until > Instant::now()).then(|| token.clone())
    }

    /// Has a replaced refresh token stored, if it is not yet; tried twice now, and again with each use. Until it is, it is
    /// kept here.
    async fn save(&mut self, connection: &Connection, slot: &str) {
        let (Some(stored), Some(fresh)) = (&self.unsaved, &self.rotated) else { return };
        if tell(connection, slot, stored, fresh).await {
            self.unsaved = None;
        }
    }
}

/// Whether a refresh token was stored in the place of the one before it.
async fn tell(connection: &Connection, slot: &str, stored: &Secret, fresh: &Secret) -> bool {
    let rotation = Rotation { slot: slot.to_owned(), stored: stored.clone(), fresh: fresh.clone() };
    for _ in 0..2 {
        match connection.tell_rotated(rotation.clone()).await {
            Ok(is_stored) => return is_stored,
            Err(error) => tracing::error!(
                connection = connection.id(),
                error = %error.for_log(),
                "[@plugins:broker] the new refresh token for `{slot}` could not be stored; it is kept in memory"
            ),
        }
    }
    false
}

impl Broker {
    /// The token for a slot: the one there is, or a new one.
    pub(super) async fn token(
        &self,
        connection: &Arc<Connection>,
        slot: &CredentialSlot,
        recipe: &Recipe,
        secret: &Secret,
        stale: Option<&Arc<Minted>>,
    ) -> Result<Token, Refusal> {
        let mut cell = self.tokens.cell(key(connection, slot, secret)).lock_owned().await;
        cell.save(connection, &slot.name).await;
        if let Some(minted) = cell.usable(stale) {
            self.tokens.remember(connection, &minted);
            return Ok(Token { minted, is_fresh: false });
        }
        let (broker, connection) = (self.clone(), connection.clone());
        let (slot, recipe, secret) = (slot.clone(), recipe.clone(), secret.clone());
        // In a task of its own: a refresh token that was traded and whose successor nobody read would be lost.
        let minting = tokio::spawn(async move {
            let traded = cell.rotated.clone().unwrap_or_else(|| secret.clone());
            let mut outgoing = recipe.request(&connection, &slot.name, &traded)?;
            session::complete(&mut outgoing, &connection);
            let exchange = broker.exchange(&connection, Audience::Own, outgoing);
            let answer = tokio::time::timeout(LONGEST_MINT, exchange)
                .await
                .map_err(|_| Refusal::timeout(LONGEST_MINT))??;
            let minted = Arc::new(recipe.read(&slot.name, &answer)?);
            broker.tokens.remember(&connection, &minted);
            cell.token = Some(minted.clone());
            // Some vendors answer with the same one again.
            if let Some(fresh) = minted.rotated.clone().filter(|fresh| *fresh != traded) {
                let [before, after] = [&secret, &fresh].map(|secret| key(&connection, &slot, secret));
                cell.unsaved.get_or_insert(traded);
                cell.rotated = Some(fresh);
                broker.tokens.succeed(&mut cell, before, after);
                // Before anybody else may have this cell.
                cell.save(&connection, &slot.name).await;
            }
            Ok(minted)
        });
        match minting.await {
            Ok(minted) => Ok(Token { minted: minted?, is_fresh: true }),
            Err(error) => Err(Refusal::other("mint", format!("minting the credential broke off: {error}"))),
        }
    }

    /// Has the newest refresh token stored for a connection whose own one may be used up already. Asks the other side nothing.
    pub(super) async fn keep_newest(&self, connection: &Connection, slot: &CredentialSlot, secret: &Secret) {
        let mut cell = self.tokens.cell(key(connection, slot, secret)).lock_owned().await;
        let is_owed = cell.unsaved.as_ref() == Some(secret);
        cell.save(connection, &slot.name).await;
        // It may be older than what is stored elsewhere.
        if let Some(fresh) = cell.rotated.as_ref().filter(|fresh| !is_owed && *fresh != secret) {
            tell(connection, &slot.name, secret, fresh).await;
        }
    }
}

/// Which connection it is.
fn identity(connection: &Connection) -> Key {
    let origin = connection.origin().to_string();
    hashed([connection.id(), &origin, connection.base_path()].map(str::as_bytes).into_iter())
}

fn key(connection: &Connection, slot: &CredentialSlot, secret: &Secret) -> Key {
    let origin = connection.origin().to_string();
    let place = [origin.as_bytes(), connection.base_path().as_bytes()];
    let parts = [slot.name.as_bytes(), slot.injection.as_bytes(), secret.expose()];
    let recipe = slot.extras.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let variables = connection.variables().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    hashed(place.into_iter().chain(parts).chain(recipe).chain(variables))
}

/// With its length before it, no part can be read as another one's end.
fn hashed<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
