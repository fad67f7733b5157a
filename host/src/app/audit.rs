//! The record of who did what: kept by the store with every change, read, verified and exported here.

mod verify;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use zeroize::Zeroizing;

use super::App;
use super::access::{Identity, require};
use super::vault::{Vault, random};
use crate::domain::access::{Reach, Role, Subject};
use crate::domain::audit::{AuditEntry, AuditHead, Checkpoint, MAC_KEY_BYTES};
use crate::domain::page::{Page, PageRequest};
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::audit::{self as record, AuditKeyBytes};
use crate::store::{self, Db, projects, teams};
pub use record::{AuditFilter, Call, because, concerns, during, identify, is_running};
pub use verify::{Verified, verify_export};

/// Where its seed is in the database.
const SEED: &str = "audit";
const SEED_CONTEXT: &str = "audit_keys/audit/seed";
/// Time between two checkpoints, if there is something new.
const CHECKPOINT_MS: UnixMs = 3600 * 1000;
/// Entries that one transaction removes.
const CHUNK: i64 = 500;

/// Reads, checks and signs the record. Its keys are made of one seed that the vault seals.
pub struct Auditor {
    db: Db,
    mac: AuditKeyBytes,
    signing: SigningKey,
    /// PEM.
    public: String,
}

impl Auditor {
    /// Opens the seed, or makes one, and has the store seal the record with it.
    pub async fn open(db: &Db, vault: &Vault) -> Result<Self> {
        let mut conn = db.read().await?;
        let stored = record::seed(&mut conn, SEED).await?;
        drop(conn);
        if stored.is_none() {
            let fresh = Zeroizing::new(random::<64>()?);
            let sealed = vault.seal(SEED_CONTEXT, &fresh[..])?;
            let mac = Self::from_seed(db, &fresh[..])?.mac;
            db.write(move |tx| Box::pin(async move { record::begin(tx, SEED, sealed, &mac).await })).await?;
        }
        // Another node may have been faster.
        let mut conn = db.read().await?;
        let sealed = record::seed(&mut conn, SEED).await?;
        drop(conn);
        let sealed = sealed.ok_or_else(|| Error::internal("the seed of the record was not stored"))?;
        let auditor = Self::from_seed(db, &vault.open_sealed(SEED_CONTEXT, &sealed)?)?;
        db.seal_audit(auditor.mac.clone());
        Ok(auditor)
    }

    /// The first half is the key of the MAC, the second that of the signatures.
    fn from_seed(db: &Db, seed: &[u8]) -> Result<Self> {
        let damaged = || Error::internal("the seed of the record is damaged");
        let (mac, signing) = seed.split_at_checked(MAC_KEY_BYTES).ok_or_else(damaged)?;
        let signing = SigningKey::from_slice(signing).map_err(|_| damaged())?;
        let public = signing.verifying_key().to_public_key_pem(LineEnding::LF).map_err(Error::internal)?;
        let mac = Zeroizing::new(mac.try_into().map_err(|_| damaged())?);
        Ok(Self { db: db.clone(), mac, signing, public })
    }

    /// Newest first.
    pub async fn list(
        &self,
        filter: &AuditFilter,
        page: PageRequest,
        reach: &Reach,
    ) -> Result<Page<AuditEntry>> {
        let mut conn = self.db.read().await?;
        record::list(&mut conn, page, filter, reach).await
    }

    /// Entries after the cursor, oldest first.
    pub async fn after(&self, cursor: i64) -> Result<Vec<AuditEntry>> {
        let mut conn = self.db.read().await?;
        record::list_after(&mut conn, cursor, CHUNK).await
    }

    /// What an export begins with: where the chain begins and ends, its checkpoints, and the key that they are signed with.
    pub async fn frame(&self) -> Result<(AuditHead, Vec<Checkpoint>, String)> {
        let mut conn = self.db.read().await?;
        let mut checkpoints: Vec<Checkpoint> = Vec::new();
        loop {
            let cursor = checkpoints.last().map_or(0, |last| last.seq);
            let more = record::checkpoints(&mut conn, cursor, CHUNK).await?;
            if more.is_empty() {
                // After the checkpoints, so that none of them is beyond it.
                let head = record::head(&mut conn).await?;
                return Ok((head, checkpoints, self.public.clone()));
            }
            checkpoints.extend(more);
        }
    }

    /// Signs where the record stands, once an hour and only if something was added. The log says so as well: whoever keeps the
    /// log elsewhere can prove what was there.
    pub async fn checkpoint_if_due(&self) -> Result<()> {
        let mut conn = self.db.read().await?;
        let latest = record::latest_checkpoint(&mut conn).await?;
        let head = record::head(&mut conn).await?;
        drop(conn);
        let now = store::now();
        let is_due = latest.is_none_or(|latest| latest.seq < head.seq && latest.at <= now - CHECKPOINT_MS);
        if !is_due || head.seq == 0 {
            return Ok(());
        }
        let mut checkpoint = Checkpoint { seq: head.seq, hash: head.hash, at: now, signature: String::new() };
        let signature: Signature = self.signing.sign(checkpoint.statement().as_bytes());
        checkpoint.signature = BASE64.encode(signature.to_der());
        let Checkpoint { seq, hash, signature, .. } = &checkpoint;
        tracing::info!(seq, hash, signature, "[@audit:checkpoint] the record is signed up to here");
        self.db
            .write(move |tx| Box::pin(async move { record::insert_checkpoint(tx, &checkpoint).await }))
            .await
    }

    /// Removes entries older than `before` and answers how many; the chain begins later from then on.
    pub async fn prune(&self, before: UnixMs) -> Result<u64> {
        let mut all = 0;
        loop {
            let key = self.mac.clone();
            let gone = self
                .db
                .write(move |tx| Box::pin(async move { record::prune(tx, before, CHUNK, &key).await }))
                .await?;
            all += gone;
            if gone < CHUNK.unsigned_abs() {
                return Ok(all);
            }
        }
    }
}

/// The entries that somebody may see: all, or those about what belongs to teams and projects that they administer.
/// `filter.team` and `filter.project` are the id or name of one of these.
///
/// # Errors
/// `NotFound` for a team or project that they do not see, `Forbidden` for one that they do not administer.
pub async fn audit_list(
    app: &App,
    who: &Identity,
    mut filter: AuditFilter,
    page: PageRequest,
) -> Result<Page<AuditEntry>> {
    let rights = &who.rights;
    let is_narrowed = !filter.team.is_empty() || !filter.project.is_empty();
    if !filter.team.is_empty() {
        require(app, rights, Role::Admin, Subject::Team, &filter.team).await?;
        filter.team = teams::find(&mut *app.db.read().await?, &filter.team).await?.id.to_string();
    }
    if !filter.project.is_empty() {
        require(app, rights, Role::Admin, Subject::Project, &filter.project).await?;
        filter.project = projects::find(&mut *app.db.read().await?, &filter.project).await?.id.to_string();
    }
    let (of_teams, of_projects) = (rights.admin_teams(), rights.admin_projects());
    if !is_narrowed && !rights.is_server_admin() && of_teams.len() + of_projects.len() == 1 {
        // It is all that they see anyhow, and so it is found by an index.
        filter.team = of_teams.first().map(ToString::to_string).unwrap_or_default();
        filter.project = of_projects.first().map(ToString::to_string).unwrap_or_default();
    }
    app.auditor.list(&filter, page, &who.reach()).await
}

/// What a task of the queue writes is the server's own doing, for the sake of this task.
pub async fn during_task<T>(kind: &str, subject: &Id, work: impl Future<Output = T>) -> T {
    during(Call::new(&format!("task {kind}"), subject.as_str(), "", ""), work).await
}

/// Ends a person's call: if nothing it wrote has an entry yet, or if it did not end well, there is one now.
pub async fn audit_settle(app: &App, call: &Arc<Call>, outcome: &'static str) -> Result<()> {
    if !call.is_identified() || (call.entries() > 0 && outcome == "done") {
        return Ok(());
    }
    call.ended(outcome);
    let is_another = call.entries() > 0;
    during(call.clone(), async {
        app.db
            .write(move |tx| {
                Box::pin(async move {
                    if is_another {
                        // A further entry of the same call that has nothing to tell would be left out.
                        tx.changed(
                            "request",
                            serde_json::Value::Null,
                            serde_json::json!({ "outcome": outcome }),
                        );
                    }
                    Ok(())
                })
            })
            .await
    })
    .await
}
