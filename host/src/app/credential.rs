//! Refresh tokens that the other side replaced: stored sealed at once, for the ones before them are worth nothing any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::App;
use super::audit::{Call, during};
use super::cicd::provider;
use super::notify::channel;
use crate::domain::Id;
use crate::error::{Error, Result};
use crate::plugins::{Rotated, Rotation};
use crate::store::{Tx, cicd_providers, notification_channels};

/// Whose credentials they are: a sealed map with a secret for each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Holder {
    Provider,
    Channel,
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

/// False if the credentials are others by now: a person's are not overwritten.
async fn replace(app: &App, tx: &mut Tx, holder: Holder, id: &Id, rotation: &Rotation) -> Result<bool> {
    let held = match holder {
        Holder::Provider => {
            let row = cicd_providers::find_opt(tx, id.as_str()).await?;
            row.map(|row| (row.name, row.credentials, provider::context(id, "credentials")))
        }
        Holder::Channel => {
            let row = notification_channels::find_opt(tx, id.as_str()).await?;
            row.map(|row| (row.name, row.credentials, channel::context(id)))
        }
    };
    let Some((name, Some(sealed), context)) = held else { return Ok(false) };
    let plain = app.vault.open_sealed(&context, &sealed)?;
    let mut credentials: BTreeMap<String, String> =
        serde_json::from_slice(&plain).map_err(Error::internal)?;
    let before = rotation.stored.expose();
    let Some(held) = credentials.values_mut().find(|value| value.as_bytes() == before) else {
        return Ok(false);
    };
    *held = String::from_utf8_lossy(rotation.fresh.expose()).into_owned();
    let plain = serde_json::to_vec(&credentials).map_err(Error::internal)?;
    let sealed = app.vault.seal(&context, &plain)?;
    match holder {
        Holder::Provider => cicd_providers::set_credentials(tx, id, Some(sealed)).await?,
        Holder::Channel => notification_channels::set_credentials(tx, id, Some(sealed)).await?,
    }
    let facts = json!({ "of": name, "id": id.as_str(), "slot": rotation.slot, "replaced": true });
    tx.changed("credential", Value::Null, facts);
    Ok(true)
}
