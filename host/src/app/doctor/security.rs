//! How safely this installation is set up. `docs/grade.md` lists what is looked at, and what each thing costs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;

use ipnet::IpNet;
use url::Url;

use super::{Check, some_of};
use crate::app::App;
use crate::config::{Config, MasterKey, Plugin};
use crate::domain::UnixMs;
use crate::domain::backup::BackupStatus;
use crate::domain::grade::{Danger, Finding, Grade, Graded};
use crate::domain::page::{MAX_LIMIT, PageRequest};
use crate::error::Result;
use crate::network::{Class, class_of};
use crate::store::{self, Conn, audit, backups, stacks, tokens, users};

const HOUR_MS: UnixMs = 3600 * 1000;
/// A backup is made every night unless something is wrong.
const OLD_BACKUP_MS: UnixMs = 7 * 24 * HOUR_MS;
/// The record is signed every hour; so long after the start of the server, it has to have been.
const UNSIGNED_MS: UnixMs = 3 * HOUR_MS;

/// Looks at everything that the server itself can know.
pub async fn security(app: &App) -> Result<Graded> {
    let (config, now) = (&app.config, store::now());
    let mut findings = of_config(config);
    findings.extend(of_engine(app.docker.host()));
    findings.extend(of_key_file(config));
    let mut conn = app.db.read().await?;
    findings.extend(of_people(config, &mut conn).await?);
    findings.extend(of_tokens(&mut conn, now).await?);
    findings.extend(of_redirects(config, &mut conn).await?);
    findings.extend(of_backups(config, &mut conn, now).await?);
    findings.extend(of_record(&mut conn, now, app.started_at).await?);
    Ok(Graded::of(findings))
}

/// The grade as one check among others, as it was a moment ago. It says nothing of whether the server works.
///
/// # Errors
/// Those of the database.
pub async fn security_check(app: &App) -> Result<Check> {
    app.security_seen.get((), of_grade(app)).await
}

async fn of_grade(app: &App) -> Result<Check> {
    let graded = security(app).await?;
    let detail = format!("grade {}, {} of 100 points", graded.grade.as_str(), graded.points);
    Ok(match graded.grade {
        Grade::A | Grade::B | Grade::C => Check::ok("security", detail),
        Grade::D | Grade::F => {
            Check::warn("security", detail, "`windlass doctor` says what could be safer, and how.")
        }
    })
}

/// What the configuration alone says.
fn of_config(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(of_listener(config));
    findings.extend(of_networks(config));
    let wide: Vec<&IpNet> = config.server.trusted_proxies.iter().filter(|net| is_wide(net)).collect();
    if !wide.is_empty() {
        findings.push(Finding {
            name: "trusted-proxies",
            danger: Danger::Considerable,
            what: format!("half the internet counts as a proxy of yours: {}", list(&wide)),
            why: "whoever calls from there says which address counts for wrong log-ins and limits, and what the record says",
            advice: "Name only your proxies in server.trusted_proxies.".into(),
        });
    }
    let router = &config.router;
    if router.enabled && router.https.is_empty() && router.http.iter().any(|at| !at.ip().is_loopback()) {
        findings.push(Finding {
            name: "router-https",
            danger: Danger::Considerable,
            what: "the router speaks only HTTP".into(),
            why: "what visitors send and see, passwords and cookies included, can be read and changed on the way",
            advice: "Set router.https, and acme.directory for certificates; see docs/router.md.".into(),
        });
    }
    if config.server.requests_per_minute == 0 || config.webhooks.refused_per_minute == 0 {
        findings.push(Finding {
            name: "limits",
            danger: Danger::Slight,
            what: "requests or wrong deliveries are taken without a limit".into(),
            why: "one caller can keep the server busy for all others",
            advice: "Set server.requests_per_minute and webhooks.refused_per_minute to more than 0.".into(),
        });
    }
    if is_open_database(&config.database_url()) {
        findings.push(Finding {
            name: "database",
            danger: Danger::Considerable,
            what: "the database is on another machine, and its URL does not ask for TLS".into(),
            why: "whoever is on the way reads and changes everything but sealed secrets, or takes the database's place",
            advice: "Add ?sslmode=verify-full to database.url (WINDLASS_DATABASE_URL).".into(),
        });
    }
    findings.extend(of_plugins(config));
    findings
}

/// The server speaks plain HTTP, and so belongs on a loopback address behind a proxy with HTTPS.
fn of_listener(config: &Config) -> Option<Finding> {
    let (listen, url) = (config.server.listen, &config.server.public_url);
    let is_open = !listen.ip().is_loopback();
    if url.starts_with("https://") {
        return is_open.then(|| Finding {
            name: "listener",
            danger: Danger::Slight,
            what: format!(
                "the server listens on {listen}, where it can be reached past the proxy with HTTPS"
            ),
            why: "tokens that are sent there can be read on the way",
            advice: "Set server.listen to a loopback address, or let nobody but the proxy connect.".into(),
        });
    }
    let is_public = Url::parse(url).is_ok_and(|url| !is_local(url.host_str().unwrap_or_default()));
    (is_open || is_public).then(|| Finding {
        name: "listener",
        danger: Danger::Serious,
        what: format!("the server is reached from elsewhere without HTTPS, at {}", config.public_url()),
        why: "tokens, passwords and secrets that are typed in can be read and changed on the way",
        advice: "Put a reverse proxy with HTTPS before it, listen on a loopback address, and set server.public_url to its https:// address."
            .into(),
    })
}

/// Where people of a team can make this server connect.
fn of_networks(config: &Config) -> Option<Finding> {
    let nets = &config.outgoing.private_networks;
    let itself: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let is_itself = nets.iter().any(|net| itself.iter().any(|address| net.contains(address)));
    let (danger, what) = match (nets.is_empty(), is_itself) {
        (true, _) => return None,
        (false, true) => (Danger::Considerable, "repositories may be on this machine itself"),
        (false, false) => (Danger::Slight, "repositories may be anywhere in private networks"),
    };
    Some(Finding {
        name: "private-networks",
        danger,
        what: format!("{what}: {}", list(nets)),
        why: "whoever may write a repository's URL makes this server connect to what is meant for nobody from outside",
        advice: "Leave only your forge's address in outgoing.private_networks (WINDLASS_PRIVATE_NETWORKS), or nothing.".into(),
    })
}

fn of_plugins(config: &Config) -> Vec<Finding> {
    let named = |wanted: fn(&Plugin) -> bool| -> Vec<&String> {
        config.plugins.iter().filter(|(_, plugin)| wanted(plugin)).map(|(name, _)| name).collect()
    };
    let unpinned = named(|plugin| plugin.source.starts_with("path:") && plugin.sha256.is_none());
    let unsigned = named(|plugin| plugin.source.starts_with("oci:") && plugin.cosign_key.is_none());
    let untried = named(|plugin| plugin.skip_conformance);
    let inward =
        named(|plugin| plugin.grant.iter().filter_map(|grant| grant.strip_prefix("http:")).any(is_inward));
    let all = [
        (
            "plugin-unpinned",
            Danger::Considerable,
            unpinned,
            "runs whatever is in its file",
            "whoever changes the file is given the credentials that the plugin is granted",
            "Pin sha256 in its section; `sha256sum` prints it.",
        ),
        (
            "plugin-private",
            Danger::Considerable,
            inward,
            "may make requests into a private network, or without TLS",
            "a plugin that was tampered with reaches what is meant for nobody from outside",
            "Take the grant away, or give it an https:// address of the open internet.",
        ),
        (
            "plugin-unsigned",
            Danger::Slight,
            unsigned,
            "comes from a registry without a signature that is checked",
            "its digest says that it is the same, and not who made it",
            "Set cosign_key in its section to its author's public key.",
        ),
        (
            "plugin-untried",
            Danger::Slight,
            untried,
            "runs without having passed the conformance suite",
            "nobody knows what it does with what the server gives it",
            "Take skip_conformance out of its section.",
        ),
    ];
    let found = all.into_iter().filter(|(_, _, names, ..)| !names.is_empty());
    found
        .map(|(name, danger, names, what, why, advice)| Finding {
            name,
            danger,
            what: format!("plugin {} {what}", list(&names)),
            why,
            advice: advice.into(),
        })
        .collect()
}

/// A grant's further origin that is not on the open internet, or that is talked to in the clear.
fn is_inward(origin: &str) -> bool {
    let Some(url) = origin.contains("://").then(|| Url::parse(origin).ok()).flatten() else { return false };
    let host = url.host_str().unwrap_or_default();
    url.scheme() != "https" || class_of_host(host).is_some_and(|class| class != Class::Public)
}

/// Whether the engine that runs everything can be commanded by whoever can connect to it.
fn of_engine(host: &str) -> Option<Finding> {
    let rest = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://"))?;
    let url = Url::parse(&format!("http://{rest}")).ok()?;
    (!is_local(url.host_str()?)).then(|| Finding {
        name: "engine",
        danger: Danger::Serious,
        what: format!("the Docker engine at {host} is commanded over the network, without TLS"),
        why: "whoever can connect to it is root on its machine",
        advice: "Make that machine a target with keys of its own (`windlass target add --help`), or take the engine's socket.".into(),
    })
}

/// Whether others on the machine can read the key that opens every secret.
fn of_key_file(config: &Config) -> Option<Finding> {
    let path = match &config.master_key {
        MasterKey::DataFolder => config.server.data_dir.join("secret.key"),
        MasterKey::File(path) => path.clone(),
        MasterKey::Text(_) => return None,
    };
    let mode = std::fs::metadata(&path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| Finding {
        name: "master-key",
        danger: Danger::Serious,
        what: format!("{} can be read or changed by others on this machine", path.display()),
        why: "with it and a copy of the database, every stored secret is open",
        advice: format!(
            "chmod 600 {}; `windlass secrets rotate` if somebody may have read it.",
            path.display()
        ),
    })
}

/// Administrators that a password alone lets in.
async fn of_people(config: &Config, conn: &mut Conn) -> Result<Option<Finding>> {
    if !config.oidc.password_login {
        return Ok(None);
    }
    let all = users::list(conn, None).await?;
    let weak = all.iter().filter(|user| {
        user.is_admin && user.disabled_at.is_none() && user.password_hash.is_some() && !user.totp_active
    });
    let names: Vec<&String> = weak.map(|user| &user.name).collect();
    Ok((!names.is_empty()).then(|| Finding {
        name: "second-factor",
        danger: Danger::Considerable,
        what: format!("a password is all that it takes to be the administrator {}", list(&names)),
        why: "a password that is guessed, or was used elsewhere, opens the whole installation",
        advice:
            "They set up a second factor on the page People, or log in by [oidc] with password_login = false."
                .into(),
    }))
}

async fn of_tokens(conn: &mut Conn, now: UnixMs) -> Result<Option<Finding>> {
    let (mut endless, mut before) = (Vec::new(), None);
    loop {
        let page = tokens::list(conn, PageRequest { before, limit: MAX_LIMIT }, None).await?;
        let valid = page.items.into_iter().filter(|token| token.is_valid(now) && token.expires_at.is_none());
        endless.extend(valid.map(|token| token.name));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok((!endless.is_empty()).then(|| Finding {
        name: "token-expiry",
        danger: Danger::Slight,
        what: format!("tokens that never end: {}", list(&endless)),
        why: "one that was lost and forgotten is good for ever",
        advice: "Make new ones with --expires, and `windlass token revoke` these.".into(),
    }))
}

async fn of_redirects(config: &Config, conn: &mut Conn) -> Result<Option<Finding>> {
    if !config.router.enabled || config.router.https.is_empty() {
        return Ok(None);
    }
    let routed = stacks::list_routed(conn).await?;
    let plain: Vec<&String> =
        routed.iter().filter(|stack| !stack.traffic.redirect_https).map(|stack| &stack.name).collect();
    Ok((!plain.is_empty()).then(|| Finding {
        name: "router-redirect",
        danger: Danger::Slight,
        what: format!("plain HTTP is answered, and not led to HTTPS, for {}", list(&plain)),
        why: "who types the address without https:// can be read on the way, and does not notice",
        advice: "Set redirectHttps in the traffic of these stacks.".into(),
    }))
}

async fn of_backups(config: &Config, conn: &mut Conn, now: UnixMs) -> Result<Option<Finding>> {
    let last = backups::latest(conn, BackupStatus::Successful).await?;
    let (danger, what) = match last {
        Some(last) if last.started_at > now - OLD_BACKUP_MS => return Ok(None),
        Some(_) => (Danger::Slight, "the last good backup is older than a week"),
        None if config.backup.recipients.is_empty() => (Danger::Considerable, "no backups are made"),
        None => (Danger::Considerable, "no backup has been made yet"),
    };
    Ok(Some(Finding {
        name: "backups",
        danger,
        what: what.into(),
        why: "after a disk or an attacker, nothing would bring stacks, secrets and the record back",
        advice: "Set backup.recipients to a public key (age1…), then `windlass backup`; `windlass backup list` says how they go.".into(),
    }))
}

/// Whether the record is signed as it should be: what is not can be cut off by whoever has database and master key.
async fn of_record(conn: &mut Conn, now: UnixMs, started_at: UnixMs) -> Result<Option<Finding>> {
    let signed = audit::latest_checkpoint(conn).await?;
    let end = audit::head(conn).await?.seq;
    let is_late = signed.is_none_or(|last| last.seq < end && last.at < now - UNSIGNED_MS);
    Ok((end > 0 && is_late && started_at < now - UNSIGNED_MS).then(|| Finding {
        name: "record",
        danger: Danger::Considerable,
        what: "the record has not been signed for hours".into(),
        why: "what was not signed can be taken out of it by somebody who has the database and the master key",
        advice: "Look for [@audit:checkpoint] in the server's log, and keep that log elsewhere.".into(),
    }))
}

/// Larger than the largest private network.
fn is_wide(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() < 8,
        IpNet::V6(net) => net.prefix_len() < 7,
    }
}

fn is_local(host: &str) -> bool {
    class_of_host(host) == Some(Class::Loopback)
}

/// Of a host that is an address, or this machine by its usual name; what other names lead to, nobody is asked.
fn class_of_host(host: &str) -> Option<Class> {
    match host.trim_start_matches('[').trim_end_matches(']') {
        "localhost" => Some(Class::Loopback),
        bare => bare.parse().ok().map(class_of),
    }
}

/// A PostgreSQL elsewhere that may be talked to in the clear. A path as its host is a socket of this machine.
fn is_open_database(url: &str) -> bool {
    let Some(url) = Url::parse(url).ok().filter(|url| url.scheme().starts_with("postgres")) else {
        return false;
    };
    let value = |name: &str| {
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let host = match value("host") {
        host if host.is_empty() => url.host_str().unwrap_or_default().to_owned(),
        host => host,
    };
    let is_here = host.is_empty() || host.starts_with('/') || host.starts_with("%2F") || is_local(&host);
    !is_here && !["require", "verify-ca", "verify-full"].contains(&value("sslmode").as_str())
}

fn list<T: ToString>(all: &[T]) -> String {
    some_of(all, 5)
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
