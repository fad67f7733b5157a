//! Deploy targets: engines besides the local one, kept by operators and named by stacks.

mod engines;
mod health;

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

pub use engines::{Bells, Engines, engine, engines, forget_keys, stack_views, watch_all};
pub use health::{target_test, target_watch};

use super::App;
use crate::domain::Id;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::target::{self, Address, LOCAL, Target, TargetCredentials, TargetHealth, TargetKind};
use crate::error::{Error, Result};
use crate::store::{self, events, stacks, targets};

/// What an operator writes to connect or change a target. Unknown fields are refused.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetInput {
    /// Never changes.
    pub name: String,
    /// Never changes; `engine` if left out.
    #[serde(default = "engine_kind")]
    pub kind: TargetKind,
    /// `tcp://host:2376`, or `ssh://user@host[:port][/path/of/the/socket]`.
    pub address: String,
    /// The IP address of the machine at which the router reaches what runs there. Ports are published on it. Not for a
    /// swarm.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub route_address: Option<IpAddr>,
    /// Stored sealed, never shown. Left out in a change: the stored ones are kept.
    #[serde(default)]
    #[schema(write_only)]
    pub credentials: Option<TargetCredentials>,
}

fn engine_kind() -> TargetKind {
    TargetKind::Engine
}

fn context(id: &Id) -> String {
    format!("targets/{id}/credentials")
}

fn credentials(app: &App, target: &Target) -> Result<TargetCredentials> {
    let Some(sealed) = &target.credentials else {
        return Err(Error::conflict(format!("target `{}` has no credentials; give it some", target.name)));
    };
    let plain = app.vault.open_sealed(&context(&target.id), sealed)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

/// Connects a target. It is not asked before it is stored: `target_test` says whether it answers.
///
/// # Errors
/// `Invalid`, naming the field; `Conflict` if the name is taken.
pub async fn target_create(app: &App, input: TargetInput) -> Result<Target> {
    let Some(given) = &input.credentials else {
        return Err(Error::invalid("credentials", "say by what this server proves who it is"));
    };
    let now = store::now();
    let mut target = Target {
        id: store::new_id(),
        seq: 0,
        name: input.name.clone(),
        kind: input.kind,
        address: input.address.clone(),
        routes: input.route_address,
        credentials: None,
        health: TargetHealth::default(),
        created_at: now,
        updated_at: now,
    };
    fill(app, &mut target, &input, given)?;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let target = targets::insert(tx, target).await?;
                tx.changed("target", Value::Null, recorded(&target));
                events::append(tx, changed(&target, "created")).await?;
                Ok(target)
            })
        })
        .await
}

/// Changes where a target is and how it is reached. Stacks that name it are managed there from then on.
///
/// # Errors
/// `Invalid`, naming the field; `NotFound`.
pub async fn target_update(app: &App, key: &str, input: TargetInput) -> Result<Target> {
    let old = target_view(app, key).await?;
    for (field, is_same) in [("name", input.name == old.name), ("kind", input.kind == old.kind)] {
        if !is_same {
            return Err(Error::invalid(
                field,
                "this never changes: stacks rely on it; add another target instead",
            ));
        }
    }
    let given = match &input.credentials {
        Some(given) => given.clone(),
        None => credentials(app, &old)?,
    };
    let mut target = Target { updated_at: store::now().max(old.updated_at + 1), ..old.clone() };
    target.health = TargetHealth::default();
    fill(app, &mut target, &input, &given)?;
    let row = target.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                targets::update(tx, &row).await?;
                tx.changed("target", recorded(&old), recorded(&row));
                events::append(tx, changed(&row, "changed")).await.map(|_| ())
            })
        })
        .await?;
    super::traffic::refresh(app).await;
    Ok(target)
}

/// Whatever is wrong with the address or a key shows here and not at the first deployment.
fn fill(app: &App, target: &mut Target, input: &TargetInput, given: &TargetCredentials) -> Result<()> {
    target::check(&input.name, input.kind, &input.address, input.route_address)?;
    given.check(&Address::parse(&input.address)?)?;
    target.address.clone_from(&input.address);
    target.routes = input.route_address;
    let plain = serde_json::to_vec(given).map_err(Error::internal)?;
    target.credentials = Some(app.vault.seal(&context(&target.id), &plain)?);
    engines::open(app, target).map(|_| ())
}

/// # Errors
/// `NotFound`.
pub async fn target_view(app: &App, key: &str) -> Result<Target> {
    targets::find(&mut *app.db.read().await?, key).await
}

/// All, by name.
///
/// # Errors
/// Those of the database.
pub async fn target_list(app: &App) -> Result<Vec<Target>> {
    targets::list(&mut *app.db.read().await?).await
}

/// The stacks that run there, by name.
///
/// # Errors
/// Those of the database.
pub async fn target_stacks(app: &App, target: &Target) -> Result<Vec<String>> {
    let rows = stacks::list_by_target(&mut *app.db.read().await?, &target.name).await?;
    Ok(rows.into_iter().map(|stack| stack.name).collect())
}

/// Forgets a target. What runs there that is not a stack of ours stays as it is.
///
/// # Errors
/// `Conflict` while a stack names it.
pub async fn target_delete(app: &App, key: &str) -> Result<()> {
    let target = target_view(app, key).await?;
    if let Some(stack) = target_stacks(app, &target).await?.first() {
        return Err(Error::conflict(format!(
            "stack `{stack}` runs on target `{}`; delete the stack first, or move it while nothing of it runs",
            target.name
        )));
    }
    let name = target.name.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                targets::delete(tx, &target.id).await?;
                tx.changed("target", recorded(&target), Value::Null);
                events::append(tx, changed(&target, "deleted")).await.map(|_| ())
            })
        })
        .await?;
    app.engines.forget(&name);
    Ok(())
}

/// The name that a stack stores for what a person wrote: none for the local engine.
///
/// # Errors
/// `Invalid` if there is no such target.
pub async fn named(app: &App, written: &str) -> Result<Option<Target>> {
    if written.is_empty() || written == LOCAL {
        return Ok(None);
    }
    let found = targets::by_name(&mut *app.db.read().await?, written).await?;
    let unknown = || {
        Error::invalid(
            "target",
            format!("there is no target `{}`; `local` is this server's engine", written.escape_debug()),
        )
    };
    found.map(Some).ok_or_else(unknown)
}

/// As the record compares it. Of credentials it says only that there are some.
fn recorded(target: &Target) -> Value {
    json!({
        "name": target.name,
        "kind": target.kind,
        "address": target.address,
        "routeAddress": target.routes,
        "hasCredentials": target.credentials.is_some(),
    })
}

fn changed(target: &Target, what: &str) -> NewEvent {
    NewEvent {
        kind: EventKind::TargetChanged,
        stack_id: None,
        subject_id: Some(target.id.clone()),
        data: json!({ "target": target.name, "change": what }),
    }
}
