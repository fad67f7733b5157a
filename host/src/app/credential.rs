//! Refresh tokens that the other side replaced: stored sealed at once, for the ones before them are worth nothing any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::App;
use super::audit::{Call, during};
use super::cicd::provider;
use super::notify::channel;
use super::stack::credentials_context;
use crate::domain::Id;
use crate::domain::remote::Remote;
use crate::domain::repository::redact_url;
use crate::error::{Error, Result};
use crate::plugins::{Rotated, Rotation};
use crate::store::{Tx, cicd_providers, notification_channels, repositories};

/// Whose credentials they are: a sealed map with a secret for each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Holder {
    Provider,
    Channel,
    /// Further stacks may deploy from the same forge with the same token, its previews among them.
    Repository,
}

/// Who keeps the refresh tokens of a connection.
pub(in crate::app) fn keeper(app: &App, holder: Holder, id: &Id) -> Rotated {
    let (app, id) = (app.clone(), id.clone());
    Arc::new(move |rotation| Box::pin(keep(app.clone(), holder, id.clone(), rotation)))
}

/// The server does that by itself, whoever caused the request for which a new token was needed.
async fn keep(app: App, holder: Holder, id: Id, rotation: Rotation) -> Result<bool> {
    let (db, call) = (app.db.clone(), Call::new("credential", id.as_str(), "", ""));
    let write = db.write(move |tx| Box::pin(async move { replace(&app, tx, holder, &id, &rotation).await }));
    during(call, write).await
}

/// One place where credentials are kept.
struct Held {
    id: Id,
    name: String,
    sealed: Option<String>,
    context: String,
}

async fn held(tx: &mut Tx, holder: Holder, id: &Id) -> Result<Vec<Held>> {
    Ok(match holder {
        Holder::Provider => {
            let row = cicd_providers::find_opt(tx, id.as_str()).await?;
            let context = provider::context(id, "credentials");
            row.map(|row| Held { id: row.id, name: row.name, sealed: row.credentials, context })
                .into_iter()
                .collect()
        }
        Holder::Channel => {
            let row = notification_channels::find_opt(tx, id.as_str()).await?;
            let context = channel::context(id);
            row.map(|row| Held { id: row.id, name: row.name, sealed: row.credentials, context })
                .into_iter()
                .collect()
        }
        Holder::Repository => {
            let Some(own) = repositories::find_opt(tx, id).await? else { return Ok(Vec::new()) };
            let all = repositories::list_by_provider(tx, &own.provider).await?;
            let origin = |url: &str| Remote::parse(url).ok().map(|remote| remote.origin());
            let at = origin(&own.url);
            let same = all.into_iter().filter(|row| row.id == own.id || origin(&row.url) == at);
            same.map(|row| Held {
                context: credentials_context(&row.id),
                name: redact_url(&row.url),
                sealed: row.credentials,
                id: row.id,
            })
            .collect()
        }
    })
}

/// False if the credentials are others by now: a person's are not overwritten.
async fn replace(app: &App, tx: &mut Tx, holder: Holder, id: &Id, rotation: &Rotation) -> Result<bool> {
    let mut is_kept = false;
    for place in held(tx, holder, id).await? {
        is_kept |= replace_in(app, tx, holder, place, rotation).await?;
    }
    Ok(is_kept)
}

async fn replace_in(app: &App, tx: &mut Tx, holder: Holder, held: Held, rotation: &Rotation) -> Result<bool> {
    let Held { id, name, sealed: Some(sealed), context } = held else { return Ok(false) };
    let opened = app.vault.open_sealed(&context, &sealed);
    let read = opened.and_then(|plain| serde_json::from_slice(&plain).map_err(Error::internal));
    let mut credentials: BTreeMap<String, String> = match read {
        Ok(credentials) => credentials,
        // What is wrong with one place does not keep the token from the others.
        Err(error) => {
            tracing::warn!(of = name, %id, error = %error.for_log(), "[@access:credentials] stored credentials cannot be read");
            return Ok(false);
        }
    };
    let before = rotation.stored.expose();
    let Some(held) = credentials.values_mut().find(|value| value.as_bytes() == before) else {
        return Ok(false);
    };
    *held = String::from_utf8_lossy(rotation.fresh.expose()).into_owned();
    let plain = serde_json::to_vec(&credentials).map_err(Error::internal)?;
    let sealed = app.vault.seal(&context, &plain)?;
    match holder {
        Holder::Provider => cicd_providers::set_credentials(tx, &id, Some(sealed)).await?,
        Holder::Channel => notification_channels::set_credentials(tx, &id, Some(sealed)).await?,
        Holder::Repository => repositories::set_credentials(tx, &id, &sealed).await?,
    }
    let facts = json!({ "of": name, "id": id.as_str(), "slot": rotation.slot, "replaced": true });
    tx.changed("credential", Value::Null, facts);
    Ok(true)
}
