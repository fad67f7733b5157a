//! Moving every stored secret to the newest master key, in small batches while everything goes on.
//!
//! A secret says itself which key it is under, so there is no position to lose: after a crash the task begins again and
//! passes over what is done. A value that somebody changes meanwhile is sealed with the newest key anyway.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Vault;
use crate::app::{App, Ended, crash};
use crate::domain::Id;
use crate::domain::sealed::{KeyRotation, Sealed};
use crate::domain::task::{NewTask, Task};
use crate::error::{Error, Result};
use crate::queue::{self, TaskContext};
use crate::store::sealed::{self, Held, PLACES, Place};
use crate::store::{self, key_rotations};

/// Secrets that are read, and moved in one transaction.
const BATCH: i64 = 100;
/// After the first pass there is little left; so many cannot all find something.
const PASSES: u32 = 20;
/// Places of secrets that could not be opened, in the rotation's error.
const NAMED: usize = 5;

/// Which keys there are, and how many secrets are under each.
#[derive(Debug, Clone)]
pub struct SecretsStatus {
    /// Where the master keys come from.
    pub source: String,
    pub keys: Vec<KeyStatus>,
    /// The one that was started last.
    pub rotation: Option<KeyRotation>,
}

#[derive(Debug, Clone, Copy)]
pub struct KeyStatus {
    pub version: u32,
    /// New secrets are sealed with it.
    pub is_newest: bool,
    /// This server has it. Without it its secrets cannot be opened.
    pub is_known: bool,
    pub secrets: u64,
}

pub async fn secrets_status(app: &App) -> Result<SecretsStatus> {
    let mut counts: BTreeMap<u32, u64> =
        app.vault.versions().into_iter().map(|version| (version, 0)).collect();
    for place in PLACES {
        let mut after = (String::new(), -1);
        loop {
            let mut conn = app.db.read().await?;
            let batch = sealed::list(&mut conn, place, &after, BATCH).await?;
            drop(conn);
            let Some(last) = batch.last() else { break };
            after = last.key.clone();
            for (_, text) in batch.iter().flat_map(|held| secrets_in(place, held)) {
                *counts.entry(Sealed::parse(&text).map_or(0, Sealed::version)).or_default() += 1;
            }
        }
    }
    let (known, newest) = (app.vault.versions(), app.vault.newest());
    let key = |(version, secrets)| KeyStatus {
        version,
        secrets,
        is_newest: version == newest,
        is_known: known.contains(&version),
    };
    let mut conn = app.db.read().await?;
    Ok(SecretsStatus {
        source: app.vault.0.source.to_string(),
        keys: counts.into_iter().map(key).collect(),
        rotation: key_rotations::latest(&mut conn).await?,
    })
}

/// Starts moving every secret to the newest master key. If all of them are under it already and the keys are in the data
/// folder of a server with a database of its own, a new one is made first. `data_keys`: each secret gets a new data key too.
///
/// # Errors
/// `Conflict` if a rotation is under way, or if there is no newer key and this server may not make one.
pub async fn secrets_rotate(app: &App, data_keys: bool) -> Result<KeyRotation> {
    let mut conn = app.db.read().await?;
    let open = key_rotations::latest(&mut conn).await?.filter(|latest| latest.finished_at.is_none());
    drop(conn);
    if let Some(open) = open {
        return resume(app, open).await;
    }
    app.vault.reload()?;
    let status = secrets_status(app).await?;
    let version = match status.keys.iter().any(|key| !key.is_newest && key.secrets > 0) {
        true => app.vault.newest(),
        // Another server would not have the key that this one makes.
        false if app.db.engine() != "sqlite" => {
            return Err(Error::conflict(format!(
                "every secret is under the newest master key already, and the servers of a shared database do not make keys: \
                 add a line `{}:<64 hex digits>` to {} on every server, then rotate",
                app.vault.newest() + 1,
                status.source
            )));
        }
        false => app.vault.add_version()?,
    };
    let rotation = KeyRotation {
        id: store::new_id(),
        version,
        data_keys,
        moved: 0,
        failed: 0,
        error: None,
        started_at: store::now(),
        finished_at: None,
    };
    let row = rotation.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                key_rotations::insert(tx, &row).await?;
                tx.changed(
                    "master key",
                    Value::Null,
                    json!({ "version": row.version, "dataKeys": row.data_keys }),
                );
                queue::enqueue(tx, &task(&row.id)).await.map(|_| ())
            })
        })
        .await?;
    Ok(rotation)
}

/// A rotation whose task has failed goes on with a new one.
async fn resume(app: &App, open: KeyRotation) -> Result<KeyRotation> {
    let id = open.id.clone();
    let is_new =
        app.db.write(move |tx| Box::pin(async move { queue::enqueue(tx, &task(&id)).await })).await?;
    if is_new {
        return Ok(open);
    }
    Err(Error::conflict("a rotation of the keys is under way; `windlass secrets status` shows how far it is"))
}

fn task(rotation: &Id) -> NewTask {
    NewTask {
        id: store::new_id(),
        task: Task::RotateKeys { rotation_id: rotation.clone() },
        priority: 5,
        unique_key: Some(format!("rotate-keys:{rotation}")),
        concurrency_key: Some("rotate-keys".into()),
        run_at: None,
        trace: None,
    }
}

/// Does the work of a rotation, until a whole pass has found nothing more to move.
pub async fn rotation_run(app: &App, context: &TaskContext, id: &Id) -> Result<Ended> {
    let mut conn = app.db.read().await?;
    let rotation = key_rotations::find_opt(&mut conn, id).await?.filter(|row| row.finished_at.is_none());
    drop(conn);
    let Some(rotation) = rotation else { return Ok(Ended::Finished) };
    app.vault.reload()?;
    if app.vault.newest() < rotation.version {
        return Err(Error::unavailable(format!(
            "version {} of the master key is missing in {}; add it there",
            rotation.version, app.vault.0.source
        )));
    }
    for _ in 0..PASSES {
        let mut pass = Pass::default();
        for place in PLACES {
            if !pass.walk(app, context, &rotation, place).await? {
                return Ok(Ended::Interrupted);
            }
        }
        if pass.moved == 0 {
            finish(app, &rotation, pass.failed).await?;
            return Ok(Ended::Finished);
        }
    }
    Err(Error::conflict(
        "secrets under an older key appear faster than they are moved; does every server have the new one?",
    ))
}

async fn finish(app: &App, rotation: &KeyRotation, failed: Vec<String>) -> Result<()> {
    let named = failed.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let error = (!failed.is_empty()).then(|| {
        format!(
            "{} secrets cannot be opened with any key that is here and stay as they are, such as {named}",
            failed.len()
        )
    });
    let (id, version, count) = (rotation.id.clone(), rotation.version, failed.len() as u64);
    if let Some(error) = &error {
        tracing::error!("[@secrets:rotate] {error}");
    }
    app.db
        .write(move |tx| {
            Box::pin(async move {
                if key_rotations::finish(tx, &id, count, error.as_deref(), store::now()).await? {
                    let after = json!({ "version": version, "finished": true, "failed": count });
                    tx.changed("master key", Value::Null, after);
                }
                Ok(())
            })
        })
        .await?;
    tracing::info!(version, "[@secrets:rotate] every secret is under the new master key");
    Ok(())
}

#[derive(Default)]
struct Pass {
    moved: u64,
    /// Contexts of what could not be opened.
    failed: Vec<String>,
}

impl Pass {
    /// False if it was asked to stop.
    async fn walk(
        &mut self,
        app: &App,
        context: &TaskContext,
        rotation: &KeyRotation,
        place: &'static Place,
    ) -> Result<bool> {
        let mut after = (String::new(), -1);
        loop {
            if context.stopping.is_cancelled() || context.cancel.is_cancelled() {
                return Ok(false);
            }
            let mut conn = app.db.read().await?;
            let batch = sealed::list(&mut conn, place, &after, BATCH).await?;
            drop(conn);
            let Some(last) = batch.last() else { return Ok(true) };
            after = last.key.clone();
            let mut changes = Vec::new();
            for held in batch {
                match moved(&app.vault, place, &held, rotation.data_keys) {
                    Ok(Some(value)) => changes.push((held, value)),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(error = error.for_log(), "[@secrets:rotate] a secret stays as it is");
                        self.failed.push(held.context);
                    }
                }
            }
            if changes.is_empty() {
                continue;
            }
            crash::point("before secrets move");
            self.moved += store_moved(app, rotation, place, changes).await?;
            crash::point("after secrets have moved");
        }
    }
}

async fn store_moved(
    app: &App,
    rotation: &KeyRotation,
    place: &'static Place,
    changes: Vec<(Held, String)>,
) -> Result<u64> {
    let id = rotation.id.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let mut moved = 0;
                for (held, value) in &changes {
                    moved += u64::from(sealed::replace(tx, place, held, value).await?);
                }
                key_rotations::count_moved(tx, &id, moved).await?;
                Ok(moved)
            })
        })
        .await
}

/// The value with every secret in it under the newest key; `None` if there is nothing to do.
fn moved(vault: &Vault, place: &Place, held: &Held, new_data_keys: bool) -> Result<Option<String>> {
    let mut value = held.value.clone();
    for (context, old) in secrets_in(place, held) {
        if let Some(new) = vault.resealed(&context, &old, new_data_keys)? {
            // A sealed text has no character that JSON would write otherwise, and is nowhere else.
            value = value.replace(&old, &new);
        }
    }
    Ok((value != held.value).then_some(value))
}

/// The sealed texts of a value, each with its context.
fn secrets_in(place: &Place, held: &Held) -> Vec<(String, String)> {
    if place.within.is_empty() {
        return vec![(held.context.clone(), held.value.clone())];
    }
    let json: Value = serde_json::from_str(&held.value).unwrap_or_default();
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let within = place.within.iter();
    within.filter_map(|(pointer, end)| Some((format!("{}{end}", held.context), text(pointer)?))).collect()
}
