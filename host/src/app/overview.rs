//! Whether everything is all right, in one answer: what needs somebody's attention, and how delivery goes.

use super::App;
use super::access::Identity;
use super::backup::backup_check;
use super::doctor::{Check, Verdict, disk_check, security_check, some_of};
use super::health;
use crate::domain::access::Reach;
use crate::domain::admission::PluginState;
use crate::domain::certificate::CertificateState;
use crate::domain::cicd::ProviderState;
use crate::domain::overview::{Figures, since};
use crate::domain::page::PageRequest;
use crate::domain::task::TaskStatus;
use crate::error::Result;
use crate::store::figures::{Troubled, ended_by_day, lead_times, restore_times, troubled};
use crate::store::{self, Conn, certificates, cicd_providers, task_stats};

/// A task that could run and has waited longer means that the workers do not keep up, in ms.
const SLOW_QUEUE_MS: i64 = 60_000;
const STUCK_QUEUE_MS: i64 = 15 * 60_000;
/// Providers that are looked at.
const PROVIDERS: i64 = 200;

#[derive(Debug, Clone)]
pub struct Overview {
    pub figures: Figures,
    /// Stacks whose newest deployment went wrong.
    pub troubled: Vec<Troubled>,
    pub queue: Queue,
    /// One for each part, in the order in which a person would look.
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    pub queued: i64,
    pub running: i64,
    /// How long the longest waiting task could have run, in ms.
    pub oldest_due_ms: Option<i64>,
    /// Age of the oldest task that has not ended, in ms.
    pub oldest_ms: Option<i64>,
}

impl Overview {
    /// The worst of the checks.
    pub fn verdict(&self) -> Verdict {
        let has = |verdict| self.checks.iter().any(|check| check.verdict == verdict);
        match (has(Verdict::Fail), has(Verdict::Warn)) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Warn,
            _ => Verdict::Ok,
        }
    }
}

/// What the caller may know of it: figures of the stacks they see; providers, certificates and the disk are the
/// administrators'.
pub async fn overview(app: &App, who: &Identity) -> Result<Overview> {
    let (now, reach, is_admin) = (store::now(), who.reach(), who.rights.is_server_admin());
    let parts = health::check(app).await;
    // Before there is a connection to be held on to while others are waited for.
    let security = if is_admin { Some(security_check(app).await?) } else { None };
    let mut conn = app.db.read().await?;
    let from = since(now);
    let counts = ended_by_day(&mut conn, from, &reach).await?;
    let leads = lead_times(&mut conn, from, &reach).await?;
    let restores = restore_times(&mut conn, from, &reach).await?;
    let troubled = troubled(&mut conn, from, &reach).await?;
    let queue = queue(&mut conn, now).await?;
    let mut checks = vec![stacks_check(&troubled), queue_check(&queue)];
    for (name, label) in [("database", "database"), ("docker", "docker")] {
        let state = parts.get(name).map_or("ok", String::as_str);
        checks.push(match state {
            "ok" => Check::ok(label, "answers"),
            why => Check::fail(label, why, "Look at the server's log, or run `windlass doctor`."),
        });
    }
    checks.push(plugins_check(app));
    if is_admin {
        checks.extend(providers_check(&mut conn, now).await?);
        checks.extend(certificates_check(&mut conn, now).await?);
        checks.extend(backup_check(app, &mut conn, now).await?);
        checks.extend(disk_check(&app.config.server.data_dir));
        checks.extend(security);
    }
    Ok(Overview { figures: Figures::of(&counts, leads, restores, now), troubled, queue, checks })
}

async fn queue(conn: &mut Conn, now: i64) -> Result<Queue> {
    let depth = task_stats::depth(conn).await?;
    let count = |status| depth.iter().filter(|row| row.status == status).map(|row| row.count).sum();
    Ok(Queue {
        queued: count(TaskStatus::Queued),
        running: count(TaskStatus::Running),
        oldest_due_ms: task_stats::oldest_due(conn, now).await?.map(|at| now - at),
        oldest_ms: task_stats::oldest_open(conn).await?.map(|at| now - at),
    })
}

fn stacks_check(troubled: &[Troubled]) -> Check {
    if troubled.is_empty() {
        return Check::ok("stacks", "the last deployment of each went well");
    }
    let advice = "Look at the deployment's log; what served before goes on serving.";
    Check::warn(
        "stacks",
        format!("the last deployment of {} went wrong", names(troubled, |row| &row.stack)),
        advice,
    )
}

fn queue_check(queue: &Queue) -> Check {
    let detail = format!("{} running, {} waiting", queue.running, queue.queued);
    let waited = queue.oldest_due_ms.unwrap_or(0);
    let late = format!("{detail}, the longest for {} s", waited / 1000);
    match waited {
        STUCK_QUEUE_MS.. => {
            Check::fail("queue", late, "See what runs so long; jobs.workers (JOB_WORKERS) says how many may.")
        }
        SLOW_QUEUE_MS.. => Check::warn("queue", late, "If it lasts, raise jobs.workers (JOB_WORKERS)."),
        _ => Check::ok("queue", detail),
    }
}

fn plugins_check(app: &App) -> Check {
    let all = app.plugins.list();
    let broken: Vec<_> =
        all.iter().filter(|one| one.admission.state == PluginState::Enabled && one.error.is_some()).collect();
    let odd: Vec<_> = all
        .iter()
        .filter(|one| {
            matches!(one.admission.state, PluginState::Quarantined | PluginState::AwaitingApproval)
                || one.health.is_suspended()
        })
        .collect();
    let advice = "`windlass plugin inspect NAME` says why.";
    if !broken.is_empty() {
        return Check::fail("plugins", format!("{} not loaded", names(&broken, |one| &one.name)), advice);
    }
    if !odd.is_empty() {
        let text = format!("{} suspended, quarantined or waiting for approval", names(&odd, |one| &one.name));
        return Check::warn("plugins", text, advice);
    }
    Check::ok("plugins", format!("{} loaded", all.iter().filter(|one| one.info.is_some()).count()))
}

/// Nothing where there are no providers.
async fn providers_check(conn: &mut Conn, now: i64) -> Result<Option<Check>> {
    let all = cicd_providers::list(conn, PageRequest::first(PROVIDERS), &Reach::EVERYTHING).await?.items;
    let active: Vec<_> = all.iter().filter(|one| one.is_active).collect();
    let ill: Vec<_> = active
        .iter()
        .filter(|one| matches!(one.health.state(now), ProviderState::Degraded | ProviderState::Unauthorized))
        .collect();
    let advice = "`windlass provider list` says what they answer.";
    Ok(match (active.len(), ill.is_empty()) {
        (0, _) => None,
        (count, true) => Some(Check::ok("providers", format!("{count} in use, none fails"))),
        (_, false) => {
            let text = format!("{} does not answer well", names(&ill, |one| &one.name));
            Some(Check::fail("providers", text, advice))
        }
    })
}

/// Nothing where there are no certificates.
async fn certificates_check(conn: &mut Conn, now: i64) -> Result<Option<Check>> {
    let all = certificates::list(conn).await?;
    let of = |wanted: &[CertificateState]| -> Vec<_> {
        all.iter().filter(|one| wanted.contains(&one.state(now))).collect()
    };
    let gone = of(&[CertificateState::Failing, CertificateState::Expired]);
    let failing = of(&[CertificateState::RenewalFailing]);
    let advice = "`windlass certificate list` says why.";
    Ok(if all.is_empty() {
        None
    } else if !gone.is_empty() {
        Some(Check::fail("certificates", format!("none for {}", names(&gone, |one| &one.host)), advice))
    } else if !failing.is_empty() {
        let text = format!("renewal fails for {}", names(&failing, |one| &one.host));
        Some(Check::warn("certificates", text, advice))
    } else {
        Some(Check::ok("certificates", format!("{} valid or under way", all.len())))
    })
}

/// The first three by name, and how many more there are.
fn names<T>(rows: &[T], name: impl Fn(&T) -> &String) -> String {
    let all: Vec<&String> = rows.iter().map(name).collect();
    some_of(&all, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_judged_by_how_long_somebody_waits_and_not_by_its_length() {
        let queue = |waited| Queue { queued: 900, running: 2, oldest_due_ms: waited, oldest_ms: None };
        for (waited, verdict) in [
            (None, Verdict::Ok),
            (Some(59_999), Verdict::Ok),
            (Some(60_000), Verdict::Warn),
            (Some(900_000), Verdict::Fail),
        ] {
            assert_eq!(queue_check(&queue(waited)).verdict, verdict, "{waited:?}");
        }
    }

    #[test]
    fn a_long_list_is_told_by_its_beginning() {
        let rows: Vec<String> = ["a", "b", "c", "d", "e"].map(String::from).into();
        assert_eq!(names(&rows, |name| name), "a, b, c and 2 more");
        assert_eq!(names(&rows[..2], |name| name), "a, b");
    }
}
