//! Plugins as operators see and change them. What is decided stays decided: it is in the database before it takes effect,
//! or as soon as it has.

use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::App;
use super::plugin_lock::LockFile;
use super::plugin_nodes;
use crate::config::{Config, PluginInstall};
use crate::domain::admission::{PluginRecord, PluginState, check_grant};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::plugin::{PluginKind, PluginStatus};
use crate::error::{Error, Result};
use crate::plugins::{Admission, Notice, PluginSource, Plugins, Settings, Source, oci};
use crate::store::{self, Db, events, plugins, stacks};

/// What to install.
pub enum Install {
    /// A component's bytes.
    Component(Vec<u8>),
    /// `oci:<reference>`, with a tag or a digest.
    Source(String),
}

pub fn plugin_list(app: &App) -> Vec<PluginStatus> {
    app.plugins.list()
}

pub fn plugin_inspect(app: &App, name: &str) -> Result<PluginStatus> {
    app.plugins.inspect(name)
}

/// Whether the program itself brings a plugin of that name.
pub fn plugin_is_builtin(name: &str) -> bool {
    Plugins::is_builtin(name)
}

/// What to load: the configuration, what was installed beside it, and what is remembered of both.
pub(super) async fn settings(config: &Config, compiler: Option<PathBuf>, db: &Db) -> Result<Settings> {
    for (name, plugin) in &config.plugins {
        if let Some(why) = plugin.grant.iter().find_map(|grant| check_grant(grant).err()) {
            return Err(Error::invalid(
                format!("plugins.{name}.grant"),
                format!("plugins.{name}.grant: {why}"),
            ));
        }
    }
    let mut conn = db.read().await?;
    let mut records = plugins::list(&mut conn).await?;
    let mut settings = Settings { compiler, ..Settings::from_config(config) };
    drop(conn);
    plugin_nodes::components_restore(db, &settings.folder, &records).await?;
    let lock = LockFile::read(config);
    for source in &mut settings.sources {
        if !records.iter().any(|record| record.name == source.name) {
            source.grant.extend(lock.granted(&source.name));
        }
    }
    let installed = records.iter_mut().filter(|record| record.installed);
    for record in installed.filter(|record| !config.plugins.contains_key(&record.name)) {
        if let Some(digest) = record.digest.clone() {
            let kept = Source::Kept { digest, source: record.source.clone() };
            settings.sources.push(PluginSource::new(&record.name, kept));
        }
    }
    Ok(Settings { records, ..settings })
}

/// Reads the configuration's plugins again and puts everything in place at once. No call is lost: those in flight finish
/// on what they began with.
pub async fn plugin_reload(app: &App) -> Result<Vec<PluginStatus>> {
    let _one_at_a_time = app.plugin_changes.lock().await;
    reload(app, Change::None).await?;
    Ok(plugin_list(app))
}

/// Puts a component in place under the name in its manifest.
///
/// # Errors
/// `Invalid` if it is no plugin of this contract, or not signed by the key of the configuration, if there is one; `Conflict` if
/// the configuration file has a plugin of that name.
pub async fn plugin_install(app: &App, what: Install) -> Result<PluginStatus> {
    let refused = |why: String| Error::invalid("component", format!("the plugin is not installed: {why}"));
    // A key counts from the moment on that it is in the file.
    let PluginInstall { cosign_key } = current_config(app)?.plugin_install;
    let key = Some(cosign_key.as_path()).filter(|key| !key.as_os_str().is_empty());
    let (source, component) = match what {
        Install::Component(_) if key.is_some() => {
            return Err(refused(
                "`plugin_install.cosign_key` is set, and a file carries no signature. Please push it to a registry, sign it \
                 there with `cosign sign`, and install oci:<reference>"
                    .to_owned(),
            ));
        }
        Install::Component(bytes) => ("upload".to_owned(), bytes),
        Install::Source(text) => {
            let reference = text.strip_prefix("oci:").ok_or_else(|| {
                refused(format!(
                    "`{}` is no source; write oci:<reference>, or send the file",
                    text.escape_debug()
                ))
            })?;
            let pulled = oci::pull(reference, key).await.map_err(refused)?;
            (format!("oci:{}", pulled.reference), pulled.component)
        }
    };
    let _one_at_a_time = app.plugin_changes.lock().await;
    let name = app.plugins.examine(component.clone()).await.map_err(refused)?.manifest.name;
    if current_config(app)?.plugins.contains_key(&name) {
        return Err(Error::conflict(format!(
            "plugin `{name}` is in the configuration file; change it there, then `windlass plugin reload`"
        )));
    }
    plugin_nodes::component_store(app, component.clone()).await?;
    let digest = app.plugins.keep(component).await?;
    tracing::info!("[@plugins:install] Plugin `{name}` sha256:{digest} is installed from {source}");
    reload(app, Change::Install(PluginSource::new(&name, Source::Kept { digest, source }))).await?;
    plugin_inspect(app, &name)
}

/// Starts a disabled plugin, or gives a quarantined component another chance.
pub async fn plugin_enable(app: &App, name: &str) -> Result<PluginStatus> {
    change(app, name, |record| match record.state {
        PluginState::Enabled => Err(Error::conflict(format!("plugin `{name}` is enabled already"))),
        PluginState::AwaitingApproval => Err(Error::conflict(format!(
            "plugin `{name}` asks for more than was granted; `windlass plugin approve {name}` grants it"
        ))),
        PluginState::Disabled | PluginState::Quarantined => {
            record.state = PluginState::Enabled;
            record.reason = None;
            Ok(())
        }
    })
    .await
}

/// Stops a plugin for good. `who` is shown to whoever wonders.
pub async fn plugin_disable(app: &App, name: &str, who: &str) -> Result<PluginStatus> {
    change(app, name, |record| {
        if record.state == PluginState::Disabled {
            return Err(Error::conflict(format!("plugin `{name}` is disabled already")));
        }
        // What ran is what is to be returned to.
        if record.state == PluginState::Enabled && record.last_good_digest.is_none() {
            record.last_good_digest.clone_from(&record.digest);
        }
        record.state = PluginState::Disabled;
        record.reason = Some(format!("disabled by {who}"));
        Ok(())
    })
    .await
}

/// Grants what the plugin asks for. With a digest, only if that is still the component that asks.
pub async fn plugin_approve(app: &App, name: &str, digest: Option<&str>) -> Result<PluginStatus> {
    let missing = app.plugins.inspect(name)?.admission.missing;
    change(app, name, |record| {
        if record.state != PluginState::AwaitingApproval {
            return Err(Error::conflict(format!("plugin `{name}` does not wait for an approval")));
        }
        if digest.is_some() && digest != record.digest.as_deref() {
            return Err(Error::conflict(format!(
                "another component of plugin `{name}` asks by now; look at what it asks for, then approve it"
            )));
        }
        record.granted.extend(missing);
        record.granted.sort_unstable();
        record.granted.dedup();
        Ok(())
    })
    .await
}

/// Takes out what was installed over the API. A built-in plugin of that name runs again.
///
/// # Errors
/// `Conflict` if it was not installed, or if a stack could not be deployed without it.
pub async fn plugin_remove(app: &App, name: &str) -> Result<()> {
    let _one_at_a_time = app.plugin_changes.lock().await;
    let status = app.plugins.inspect(name)?;
    let config = current_config(app)?;
    if config.plugins.contains_key(name) {
        return Err(Error::conflict(format!(
            "plugin `{name}` is in the configuration file; remove it there, then `windlass plugin reload`"
        )));
    }
    if !status.admission.installed {
        return Err(Error::conflict(format!(
            "plugin `{name}` is built in and cannot be removed; `windlass plugin disable {name}` stops it"
        )));
    }
    if !plugin_is_builtin(name) {
        refuse_if_needed(app, &config, name).await?;
    }
    tracing::info!("[@plugins:remove] Plugin `{name}` is removed");
    reload(app, Change::Remove(name.to_owned())).await
}

async fn refuse_if_needed(app: &App, config: &Config, name: &str) -> Result<()> {
    if config.strategies.default == name {
        return Err(Error::conflict(format!(
            "plugin `{name}` is the default strategy; set another one under [strategies] first"
        )));
    }
    let mut conn = app.db.read().await?;
    for (kind, role) in [
        (PluginKind::DeploymentStrategy, "deployment strategy"),
        (PluginKind::BuildPlanner, "build planner"),
        (PluginKind::GitForge, "forge"),
    ] {
        if let Some(stack) = stacks::using(&mut conn, name, kind).await? {
            return Err(Error::conflict(format!(
                "stack `{}` uses it as its {role}, so plugin `{name}` is not removed; change or delete the stack first",
                stack.name
            )));
        }
    }
    Ok(())
}

async fn change(
    app: &App,
    name: &str,
    edit: impl FnOnce(&mut PluginRecord) -> Result<()>,
) -> Result<PluginStatus> {
    let _one_at_a_time = app.plugin_changes.lock().await;
    let admitted = app.plugins.admitted();
    let admission = admitted.get(name).ok_or_else(|| Error::not_found("plugin", name))?;
    let mut conn = app.db.read().await?;
    let known = plugins::find_opt(&mut conn, name).await?;
    drop(conn);
    let mut record = known.unwrap_or_else(|| fresh(name, admission));
    edit(&mut record)?;
    reload(app, Change::Record(record)).await?;
    plugin_inspect(app, name)
}

/// Takes over what another node decided and wrote down. Writes nothing down itself, so that nodes which see something
/// differently do not take turns.
pub(super) async fn refresh(app: &App) -> Result<()> {
    let _one_at_a_time = app.plugin_changes.lock().await;
    let config = current_config(app)?;
    app.plugins.reload(settings(&config, app.compiler.clone(), &app.db).await?).await?;
    LockFile::read(&config).write(&config, &app.plugins.admitted());
    Ok(())
}

/// After the start: writes down what was decided then.
pub async fn plugin_started(app: &App) -> Result<()> {
    let _one_at_a_time = app.plugin_changes.lock().await;
    remember(app, &app.config, Change::None).await
}

/// Acts on what the plugins do until `stop`: a component that faults where another one was good is replaced by that one.
pub async fn plugin_tend(app: App, stop: CancellationToken) {
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => return,
            notice = app.plugins.notice() => notice,
        };
        let Some(notice) = notice else { return };
        if let Err(error) = heed(&app, notice).await {
            tracing::error!("[@plugins:tend] what a plugin did cannot be acted on: {}", error.for_log());
        }
    }
}

async fn heed(app: &App, notice: Notice) -> Result<()> {
    let _one_at_a_time = app.plugin_changes.lock().await;
    let (Notice::Opened { plugin, digest, .. } | Notice::Proven { plugin, digest }) = &notice;
    let mut conn = app.db.read().await?;
    let record = plugins::find_opt(&mut conn, plugin).await?;
    drop(conn);
    let runs = |record: &PluginRecord| {
        record.state == PluginState::Enabled && record.digest.as_ref() == Some(digest)
    };
    let Some(mut record) = record.filter(runs) else { return Ok(()) };
    let has_proven_itself = record.last_good_digest.as_ref() == Some(digest);
    match notice {
        Notice::Proven { digest, .. } if !has_proven_itself => {
            record.last_good_digest = Some(digest);
            save(app, vec![record]).await
        }
        Notice::Opened { digest, reason, .. } if !has_proven_itself && record.last_good_digest.is_some() => {
            tracing::error!(
                "[@plugins:tend] Plugin `{}` sha256:{digest} is quarantined: {reason}",
                record.name
            );
            record.state = PluginState::Quarantined;
            record.reason = Some(reason);
            reload(app, Change::Record(record)).await
        }
        _ => Ok(()),
    }
}

fn current_config(app: &App) -> Result<Config> {
    match &app.config.file {
        Some(file) => Config::load(Some(file), |name| std::env::var(name).ok()),
        None => Ok(app.config.clone()),
    }
}

/// What a reload brings besides what is in the files.
enum Change {
    None,
    Install(PluginSource),
    Remove(String),
    Record(PluginRecord),
}

/// Changes what runs and then writes it down, so that whoever hears of a change sees it in force.
async fn reload(app: &App, change: Change) -> Result<()> {
    let config = current_config(app)?;
    let mut settings = settings(&config, app.compiler.clone(), &app.db).await?;
    match &change {
        Change::None => {}
        Change::Install(added) => {
            settings.sources.retain(|source| source.name != added.name);
            settings.sources.push(added.clone());
        }
        Change::Remove(name) => {
            settings.sources.retain(|source| source.name != *name);
            settings.records.retain(|record| record.name != *name);
        }
        Change::Record(edited) => {
            settings.records.retain(|record| record.name != edited.name);
            settings.records.push(edited.clone());
        }
    }
    app.plugins.reload(settings).await?;
    remember(app, &config, change).await
}

/// Writes down what was decided, where that is news, and the lock file.
async fn remember(app: &App, config: &Config, change: Change) -> Result<()> {
    let admitted = app.plugins.admitted();
    let mut conn = app.db.read().await?;
    let mut known = plugins::list(&mut conn).await?;
    drop(conn);
    let (installed, edited, removed) = match change {
        Change::None => (None, None, None),
        Change::Install(added) => (Some(added.name), None, None),
        Change::Remove(name) => (None, None, Some(name)),
        Change::Record(record) => (None, Some(record), None),
    };
    known.retain(|record| removed.as_ref() != Some(&record.name));
    let mut lock = LockFile::read(config);
    let mut changed = Vec::new();
    for (name, admission) in admitted.iter() {
        let old = known.iter().find(|record| record.name == *name);
        let edited = edited.as_ref().filter(|record| record.name == *name);
        if !admission.is_settled {
            // What could not be read decides nothing, but somebody did.
            changed.extend(edited.cloned());
            continue;
        }
        let base = edited.or(old).cloned().unwrap_or_else(|| PluginRecord {
            granted: if config.plugins.contains_key(name) { lock.granted(name) } else { Vec::new() },
            ..fresh(name, admission)
        });
        let record = PluginRecord {
            installed: (base.installed && !config.plugins.contains_key(name))
                || installed.as_ref() == Some(name),
            granted: base.granted.clone(),
            created_at: base.created_at,
            updated_at: base.updated_at,
            ..fresh(name, admission)
        };
        if old != Some(&record) {
            changed.push(record);
        }
    }
    lock.write(config, &admitted);
    if let Some(name) = removed {
        forget(app, name).await?;
    }
    if changed.is_empty() { Ok(()) } else { save(app, changed).await }
}

fn fresh(name: &str, admission: &Admission) -> PluginRecord {
    let now = store::now();
    PluginRecord {
        name: name.to_owned(),
        digest: admission.digest.clone(),
        source: admission.source.clone(),
        state: admission.verdict.state,
        last_good_digest: admission.verdict.last_good_digest.clone(),
        granted: Vec::new(),
        reason: admission.verdict.reason.clone(),
        installed: false,
        created_at: now,
        updated_at: now,
    }
}

async fn forget(app: &App, name: String) -> Result<()> {
    app.db
        .write(move |tx| {
            Box::pin(async move {
                plugins::delete(tx, &name).await?;
                let data = json!({ "name": name, "state": "removed", "digest": null });
                let kind = EventKind::PluginChanged;
                events::append(tx, NewEvent { kind, stack_id: None, subject_id: None, data }).await?;
                Ok(())
            })
        })
        .await
}

async fn save(app: &App, records: Vec<PluginRecord>) -> Result<()> {
    let (now, node) = (store::now(), app.instance.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                for record in records {
                    let record = PluginRecord { updated_at: now, ..record };
                    plugins::save(tx, &record).await?;
                    let (name, state, digest) = (&record.name, record.state, &record.digest);
                    let data = json!({ "name": name, "state": state, "digest": digest, "node": node });
                    let kind = EventKind::PluginChanged;
                    events::append(tx, NewEvent { kind, stack_id: None, subject_id: None, data }).await?;
                }
                Ok(())
            })
        })
        .await
}
