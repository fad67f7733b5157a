//! Backups: everything that a new machine needs to be this server, in one encrypted file, and the way back.
//!
//! The server makes them in its own folder and only for the keys of its configuration: over the network nobody, whatever their
//! token may, gets at the keys that secrets are sealed with. Who can read the data folder makes one for whom they like.

mod archive;
mod contents;
mod keep;
mod lock;
mod make;
mod restore;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::audit::{self, Auditor};
use super::doctor::Check;
use super::vault::Vault;
use super::{App, Ended};
use crate::config::{Config, MasterKey};
use crate::domain::backup::{Backup, BackupStatus, LONGEST_MS};
use crate::domain::schedule::{Missed, SchedulePlan};
use crate::domain::task::{NewTask, Task};
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::queue::{self, TaskContext};
use crate::store::{self, Conn, Db, DbConfig, Tx, backups};
pub use archive::verify_tar;
pub use contents::place;
pub use keep::backup_keep;
pub use lock::{Lock, Unlock};
pub use make::Made;
use make::{Sources, make};
pub use restore::{Restored, refuse_unfinished, restore};

/// Rows of a list; older ones are of no use.
const LISTED: i64 = 100;
const PREFIX: &str = "windlass-";
const ENDING: &str = ".tar.zst.age";

/// What the configuration says of backups, understood.
#[derive(Debug)]
pub struct Settings {
    /// None: there are no recipients, so none are made.
    lock: Option<Lock>,
    folder: PathBuf,
    plan: Option<SchedulePlan>,
    keep: usize,
}

impl Settings {
    /// # Errors
    /// `Invalid`, naming the key of the configuration.
    pub fn of(config: &Config) -> Result<Self> {
        let backup = &config.backup;
        let lock = match backup.recipients.is_empty() {
            true => None,
            false => Some(Lock::to_recipients("backup.recipients", &backup.recipients)?),
        };
        let plan = (!backup.schedule.trim().is_empty()).then(|| SchedulePlan {
            name: "backup".into(),
            cron: backup.schedule.clone(),
            time_zone: backup.time_zone.clone(),
            git_ref: None,
            missed: Missed::RunOnce,
            enabled: true,
        });
        if let Some(plan) = &plan {
            plan.check()
                .map_err(|error| Error::invalid("backup.schedule", format!("backup.schedule: {error}")))?;
        }
        let folder = match backup.folder.as_os_str().is_empty() {
            true => config.server.data_dir.join("backups"),
            false => backup.folder.clone(),
        };
        let plan = plan.filter(|_| lock.is_some());
        Ok(Self { lock, folder, plan, keep: backup.keep })
    }

    fn lock(&self) -> Result<&Lock> {
        self.lock.as_ref().ok_or_else(|| {
            Error::conflict(
                "this server makes no backups: backup.recipients in its configuration is empty; set it to a public key (age1…), or \
                 run `windlass backup --to FILE --recipient age1…` on the server's machine",
            )
        })
    }
}

/// What there is, and when the next one comes.
#[derive(Debug)]
pub struct Overview {
    pub is_on: bool,
    pub folder: PathBuf,
    pub keep: usize,
    pub next_at: Option<UnixMs>,
    /// Newest first.
    pub backups: Vec<Backup>,
}

pub async fn backup_list(app: &App) -> Result<Overview> {
    let (mut conn, settings) = (app.db.read().await?, &app.backups);
    let backups = backups::list(&mut conn, LISTED).await?;
    let next_at = match &settings.plan {
        Some(plan) => plan.next_after(store::now())?,
        None => None,
    };
    let folder = settings.folder.clone();
    Ok(Overview { is_on: settings.lock.is_some(), folder, keep: settings.keep, next_at, backups })
}

/// Has a backup made into the configured folder now.
///
/// # Errors
/// `Conflict` if nobody could open it, or if one is being made.
pub async fn backup_create(app: &App) -> Result<Backup> {
    let backup = new_backup(app, None)?;
    let row = backup.clone();
    app.db.write(move |tx| Box::pin(async move { begin(tx, &row).await })).await?;
    Ok(backup)
}

fn new_backup(app: &App, due_at: Option<UnixMs>) -> Result<Backup> {
    let recipients = i64::try_from(app.backups.lock()?.recipients()).unwrap_or(i64::MAX);
    let (id, now) = (store::new_id(), store::now());
    let at = DateTime::<Utc>::from_timestamp_millis(now).unwrap_or_default().format("%Y%m%dT%H%M%SZ");
    let random = id.as_str().rsplit('-').next().unwrap_or_default();
    let name = format!("{PREFIX}{at}-{random}{ENDING}");
    Ok(Backup {
        id,
        due_at,
        name,
        status: BackupStatus::Running,
        recipients,
        bytes: None,
        rows: None,
        error: None,
        started_at: now,
        finished_at: None,
    })
}

async fn begin(tx: &mut Tx, backup: &Backup) -> Result<()> {
    backups::give_up(tx, backup.started_at - LONGEST_MS, backup.started_at).await?;
    backups::insert(tx, backup).await?;
    let task = NewTask {
        id: store::new_id(),
        task: Task::Backup { backup_id: backup.id.clone() },
        priority: 5,
        unique_key: Some(format!("backup:{}", backup.id)),
        concurrency_key: Some("backup".into()),
        run_at: None,
        trace: None,
    };
    queue::enqueue(tx, &task).await.map(|_| ())
}

/// Makes it. What goes wrong ends this backup and is told; the next due time is the next try.
pub async fn backup_run(app: &App, context: &TaskContext, id: &Id) -> Result<Ended> {
    let mut conn = app.db.read().await?;
    let found = backups::find_opt(&mut conn, id).await?;
    drop(conn);
    let Some(backup) = found.filter(|row| row.status == BackupStatus::Running) else {
        return Ok(Ended::Finished);
    };
    let made = tokio::select! {
        made = make_in_folder(app, &backup) => made,
        () = context.stopping.cancelled() => return Ok(Ended::Interrupted),
        () = context.cancel.cancelled() => Err(Error::Cancelled("the backup".into())),
    };
    let (name, now) = (backup.name.clone(), store::now());
    let made = match made {
        Ok(made) => {
            tracing::info!(name, made.bytes, made.rows, "[@server:backup] a backup is made");
            keep::forget_old_files(&app.backups);
            Ok((made.bytes, made.rows))
        }
        Err(error) => {
            tracing::error!(name, error = error.for_log(), "[@server:backup] no backup was made");
            Err(error.to_string())
        }
    };
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let outcome = made.as_ref().copied().map_err(String::as_str);
                if backups::finish(tx, &backup.id, outcome, now).await? {
                    let facts = json!({
                        "name": backup.name, "recipients": backup.recipients,
                        "bytes": made.as_ref().ok().map(|made| made.0), "error": made.as_ref().err(),
                    });
                    tx.changed("backup", Value::Null, facts);
                }
                Ok(())
            })
        })
        .await?;
    Ok(Ended::Finished)
}

async fn make_in_folder(app: &App, backup: &Backup) -> Result<Made> {
    let settings = &app.backups;
    let lock = settings.lock()?.clone();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&settings.folder).map_err(|error| {
        Error::unavailable(format!(
            "the folder {} cannot be made: {error}; set backup.folder to one that the server may write",
            settings.folder.display()
        ))
    })?;
    keep::forget_unfinished_files(&settings.folder);
    let to = settings.folder.join(&backup.name);
    // An earlier life of this server may have finished the file and not said so.
    let _ = std::fs::remove_file(&to);
    make(&Sources { config: &app.config, db: &app.db, vault: &app.vault }, lock, &to).await
}

/// Makes a backup without a server, or beside one, from its data folder and database.
///
/// # Errors
/// `Conflict` if there is no server's data, or it is of another version.
pub async fn backup_here(config: &Config, lock: Lock, to: &Path) -> Result<Made> {
    if to.exists() {
        return Err(Error::conflict(format!("{} is there already and is not overwritten", to.display())));
    }
    let data = &config.server.data_dir;
    refuse_unfinished(data)?;
    let db = Db::open_as_is(&DbConfig::new(config.database_url())).await?;
    if matches!(config.master_key, MasterKey::DataFolder) && !data.join("secret.key").exists() {
        return Err(Error::conflict(format!(
            "{} has no secret.key, and a backup without it could not open a secret; name the server's configuration file",
            data.display()
        )));
    }
    let vault = Vault::open(&config.master_key, data)?;
    // It has to fit the database, and the record gets an entry.
    let _auditor = Auditor::open(&db, &vault).await?;
    let recipients = lock.recipients();
    let call = audit::Call::new("backup_here", &to.display().to_string(), "cli", "");
    let made = audit::during(call, async {
        audit::identify("machine", &format!("user {} of the machine", rustix::process::getuid().as_raw()));
        // First the entry: what cannot be recorded is not made.
        let file = to.display().to_string();
        db.write(move |tx| {
            Box::pin(async move {
                tx.changed("backup", Value::Null, json!({ "file": file, "recipients": recipients }));
                Ok(())
            })
        })
        .await?;
        make(&Sources { config, db: &db, vault: &vault }, lock, to).await
    })
    .await;
    db.close().await;
    made
}

/// Nothing where none are to be made.
pub async fn backup_check(app: &App, conn: &mut Conn, now: UnixMs) -> Result<Option<Check>> {
    if app.backups.lock.is_none() {
        return Ok(None);
    }
    let good = backups::latest(conn, BackupStatus::Successful).await?;
    let newest = backups::list(conn, 2)
        .await?
        .into_iter()
        .find(|row| row.status != BackupStatus::Running || row.is_stuck(now));
    let advice = "`windlass backup list` shows all of them, `windlass backup` makes one now.";
    let last_good = match &good {
        Some(good) => format!("the last good one is of {}", shown(good.started_at)),
        None => "there is no good one".into(),
    };
    Ok(Some(match newest {
        None => Check::ok("backup", "none was due yet"),
        Some(row) if row.status == BackupStatus::Successful => Check::ok("backup", last_good),
        Some(row) => {
            let why = row.error.unwrap_or_else(|| "it does not come to its end".into());
            Check::fail("backup", format!("the last one failed: {why}; {last_good}"), advice)
        }
    }))
}

fn shown(at: UnixMs) -> String {
    DateTime::<Utc>::from_timestamp_millis(at).unwrap_or_default().format("%Y-%m-%d %H:%M UTC").to_string()
}
