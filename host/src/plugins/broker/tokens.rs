//! What was minted, until it expires. One mint serves all calls of a connection that wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::connection::{Connection, Secret};
use super::mint::{Minted, Recipe};
use super::policy::Audience;
use super::refusal::Refusal;
use super::{Broker, session};
use crate::domain::plugin::CredentialSlot;

/// Tokens kept at once; those that expired make room.
const KEPT: usize = 1024;
/// A mint ends by itself even if the call that began it was given up.
const LONGEST_MINT: Duration = Duration::from_secs(30);

/// Connection, slot, recipe and secret together, hashed: a changed secret or recipe never gets another one's token.
type Key = [u8; 32];

#[derive(Default)]
pub(super) struct Tokens {
    cells: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Cell>>>>,
}

#[derive(Default)]
pub(super) struct Cell {
    token: Option<Arc<Minted>>,
    /// The refresh token that took the place of the connection's.
    rotated: Option<Secret>,
}

/// A token, and whether it was minted for this very request.
pub(super) struct Token {
    pub(super) minted: Arc<Minted>,
    pub(super) is_fresh: bool,
}

impl Tokens {
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
}

impl Cell {
    /// `stale` is a token that the other side no longer takes.
    fn usable(&self, stale: Option<&Arc<Minted>>) -> Option<Arc<Minted>> {
        let token = self.token.as_ref()?;
        let is_stale = stale.is_some_and(|stale| Arc::ptr_eq(stale, token));
        (!is_stale && token.until > Instant::now()).then(|| token.clone())
    }
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
        if let Some(minted) = cell.usable(stale) {
            return Ok(Token { minted, is_fresh: false });
        }
        let (broker, connection) = (self.clone(), connection.clone());
        let (slot, recipe, secret) = (slot.name.clone(), recipe.clone(), secret.clone());
        // In a task of its own: a refresh token that was traded and whose successor nobody read would be lost.
        let minting = tokio::spawn(async move {
            let secret = cell.rotated.clone().unwrap_or(secret);
            let mut outgoing = recipe.request(&connection, &slot, &secret)?;
            session::complete(&mut outgoing, &connection);
            let exchange = broker.exchange(&connection, Audience::Own, outgoing);
            let answer = tokio::time::timeout(LONGEST_MINT, exchange)
                .await
                .map_err(|_| Refusal::timeout(LONGEST_MINT))??;
            let minted = Arc::new(recipe.read(&slot, &answer)?);
            if let Some(rotated) = &minted.rotated {
                cell.rotated = Some(rotated.clone());
                connection.tell_rotated(&slot, rotated);
            }
            cell.token = Some(minted.clone());
            Ok(minted)
        });
        match minting.await {
            Ok(minted) => Ok(Token { minted: minted?, is_fresh: true }),
            Err(error) => Err(Refusal::other("mint", format!("minting the credential broke off: {error}"))),
        }
    }
}

fn key(connection: &Connection, slot: &CredentialSlot, secret: &Secret) -> Key {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        // With its length before it, no part can be read as another one's end.
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for text in [connection.id(), &connection.origin().to_string(), connection.base_path(), &slot.name, &slot.injection] {
        add(text.as_bytes());
    }
    for (name, value) in &slot.extras {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    connection.variables().for_each(|(name, value)| {
        add(name.as_bytes());
        add(value.as_bytes());
    });
    add(secret.expose());
    hash.finalize().into()
}
