//! Certificates for the hosts of stacks: got from an ACME server, renewed before they expire, and given to the router.
//!
//! A host's row says when it is due. Whoever moves that time forward works on it, so of several servers one does, and an
//! attempt that a crash ended is made again after [`ATTEMPT`].

mod files;
mod http;
mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

pub use files::certificate_files;

use super::{App, traffic, vault};
use crate::domain::UnixMs;
use crate::domain::certificate::{Certificate, can_be_checked, renew_at, retry_at};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::route::Challenge;
use crate::error::{Error, Result};
use crate::store::{self, certificates, events, stacks};

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(5);
/// One attempt takes no longer.
const ATTEMPT: Duration = Duration::from_secs(300);

/// What the router answers to an ACME server at the moment, by token. An attempt that breaks off begins anew, so this lives
/// in this process only.
#[derive(Debug, Default)]
pub struct Challenges(Mutex<BTreeMap<String, String>>);

impl Challenges {
    fn put(&self, token: &str, answer: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(token.to_owned(), answer.to_owned());
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// As the route table has them.
    pub fn list(&self) -> Vec<Challenge> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let challenge =
            |(token, answer): (&String, &String)| Challenge { token: token.clone(), answer: answer.clone() };
        known.iter().map(challenge).collect()
    }
}

/// Whether certificates are got at all.
pub fn is_on(app: &App) -> bool {
    app.config.router.enabled && !app.config.acme.directory.is_empty()
}

/// The clock by which the state of a certificate is told.
pub fn now() -> UnixMs {
    store::now()
}

/// All that are wanted, by host.
pub async fn certificate_list(app: &App) -> Result<Vec<Certificate>> {
    certificates::list(&mut *app.db.read().await?).await
}

/// Gets the certificate of a host now, whenever it is due.
///
/// # Errors
/// `NotFound` if no stack has the host, `Conflict` if certificates are not got here.
pub async fn certificate_renew(app: &App, host: &str) -> Result<Certificate> {
    if !is_on(app) {
        return Err(Error::conflict(
            "this server gets no certificates; set acme.directory and router.enabled in its configuration",
        ));
    }
    let host = host.to_ascii_lowercase();
    let found = certificates::find_opt(&mut *app.db.read().await?, &host).await?;
    let mut row = found.ok_or_else(|| Error::not_found("certificate", host.as_str()))?;
    let (was, now) = (row.due_at, store::now());
    app.db
        .write(move |tx| Box::pin(async move { certificates::postpone(tx, &host, was, now).await }))
        .await?;
    row.due_at = now;
    app.wake_certificates.notify_one();
    Ok(row)
}

/// Looks after all of them until the server stops.
pub async fn keep(app: App, stop: CancellationToken) {
    let mut failing = false;
    while is_on(&app) {
        let looking = async {
            match look(&app).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(
                        error = error.for_log(),
                        "[@router:acme] certificates are looked after later"
                    );
                }
                Err(_) => {}
            }
            tokio::select! {
                () = app.wake_certificates.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = looking => {}
        }
    }
}

/// Hosts whose requests come here and that have no certificate of their own in the configuration.
async fn wanted(app: &App) -> Result<BTreeSet<String>> {
    let own: BTreeSet<String> = app
        .config
        .router
        .certificates
        .iter()
        .flat_map(|certificate| &certificate.hosts)
        .map(|host| host.to_ascii_lowercase())
        .collect();
    let stacks = stacks::list_routed(&mut *app.db.read().await?).await?;
    let hosts = stacks.iter().flat_map(|stack| stack.traffic.all_hosts());
    let hosts = hosts.map(|host| host.to_ascii_lowercase());
    Ok(hosts.filter(|host| can_be_checked(host) && !own.contains(host)).collect())
}

async fn look(app: &App) -> Result<()> {
    let (wanted, mut rows, now) = (wanted(app).await?, certificate_list(app).await?, store::now());
    let new: Vec<String> =
        wanted.iter().filter(|host| rows.iter().all(|row| row.host != **host)).cloned().collect();
    let old: Vec<String> =
        rows.iter().filter(|row| !wanted.contains(&row.host)).map(|row| row.host.clone()).collect();
    if !new.is_empty() || !old.is_empty() {
        let change = app.db.write(move |tx| {
            Box::pin(async move {
                for host in &new {
                    certificates::want(tx, host, now).await?;
                }
                for host in &old {
                    certificates::delete(tx, host).await?;
                }
                Ok(())
            })
        });
        change.await?;
        rows = certificate_list(app).await?;
    }
    let due: Vec<Certificate> = rows.into_iter().filter(|row| row.due_at <= now).collect();
    if !due.is_empty() {
        // A router that is just being started is no failure of an attempt.
        app.router.health().await?;
    }
    for row in due {
        attend(app, row).await?;
    }
    files::tidy(app).await
}

/// One attempt, and what becomes of it.
async fn attend(app: &App, row: Certificate) -> Result<()> {
    let (host, was) = (row.host.clone(), row.due_at);
    let until = store::now() + i64::try_from(ATTEMPT.as_millis()).unwrap_or(i64::MAX);
    let claimed = app
        .db
        .write(move |tx| Box::pin(async move { certificates::postpone(tx, &host, was, until).await }))
        .await?;
    if !claimed {
        return Ok(());
    }
    let issuing = tokio::time::timeout(ATTEMPT, order::issue(app, &row.host)).await;
    let issued = issuing.unwrap_or_else(|_| Err(Error::timeout("the ACME server", ATTEMPT.as_secs())));
    app.challenges.clear();
    let next = match issued.and_then(|issued| accept(app, &row, issued)) {
        Ok(next) => {
            tracing::info!(host = row.host, "[@router:acme] a certificate was issued");
            next
        }
        Err(error) => {
            let failures = row.failures.saturating_add(1);
            let due_at = retry_at(store::now(), failures, chance());
            tracing::warn!(
                host = row.host,
                failures,
                error = error.for_log(),
                "[@router:acme] no certificate"
            );
            Certificate { failures, due_at, error: Some(error.to_string()), updated_at: store::now(), ..row }
        }
    };
    let data = json!({ "host": next.host, "state": next.state(store::now()).as_str(), "error": next.error });
    let event = NewEvent { kind: EventKind::CertificateChanged, stack_id: None, subject_id: None, data };
    app.db
        .write(move |tx| {
            Box::pin(async move {
                certificates::save(tx, &next).await?;
                events::append(tx, event).await.map(|_| ())
            })
        })
        .await?;
    traffic::refresh(app).await;
    Ok(())
}

/// The row with what was issued.
fn accept(app: &App, row: &Certificate, issued: order::Issued) -> Result<Certificate> {
    let (not_before, not_after) = validity(&issued.chain)?;
    let sealed = app.vault.seal(&key_context(&row.host), issued.key.as_bytes())?;
    Ok(Certificate {
        chain: Some(issued.chain),
        sealed_key: Some(sealed),
        not_before: Some(not_before),
        not_after: Some(not_after),
        due_at: renew_at(not_before, not_after, chance()),
        failures: 0,
        error: None,
        updated_at: store::now(),
        ..row.clone()
    })
}

fn key_context(host: &str) -> String {
    format!("certificates/{host}/key")
}

/// From when until when the first certificate of a chain is valid.
fn validity(chain: &str) -> Result<(UnixMs, UnixMs)> {
    let wrong = |why: String| Error::failed(format!("the ACME server's certificate cannot be read: {why}"));
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(chain.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let certificate = pem.parse_x509().map_err(|error| wrong(error.to_string()))?;
    let validity = certificate.validity();
    Ok((validity.not_before.timestamp() * 1000, validity.not_after.timestamp() * 1000))
}

/// From 0 to 1, another one each time.
fn chance() -> f64 {
    vault::random::<4>().map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
