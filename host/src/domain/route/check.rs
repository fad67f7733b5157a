//! Refuses tables that make no sense, with the field and what is expected.

use std::collections::HashSet;

use super::{CertificateFiles, HeaderRoute, Hold, Probe, Route, RouteTable, Sticky, Timeouts};
use crate::error::{Error, Result};

/// More routes than one machine will ever serve; a table stays a document that is read at once.
const ROUTES: usize = 10_000;
/// Releases of one route, and targets of one release.
const SHARES: usize = 32;
const TARGETS: usize = 256;
/// An hour: the longest a request may be held, or anything may be waited for.
const LONGEST_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

impl RouteTable {
    /// # Errors
    /// `Invalid` with the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        if self.routes.len() > ROUTES {
            return wrong("routes", format!("there are more than {ROUTES} routes"));
        }
        let mut names = HashSet::new();
        let mut places = HashSet::new();
        for (at, route) in self.routes.iter().enumerate() {
            let field = format!("routes[{at}]");
            route.check(&field)?;
            if !names.insert(route.name.as_str()) {
                return wrong(&format!("{field}.name"), format!("`{}` is there twice", route.name));
            }
            let path = route.path.trim_end_matches('/');
            let hosts: Vec<String> = match route.hosts.is_empty() {
                true => vec![String::new()],
                false => route.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            };
            for host in hosts {
                if !places.insert((host.clone(), path)) {
                    let host = if host.is_empty() { "every other host" } else { &host };
                    let message = format!("another route has {host} and {} as well", route.path);
                    return wrong(&format!("{field}.hosts"), message);
                }
            }
        }
        let mut certified = HashSet::new();
        for (at, certificate) in self.certificates.iter().enumerate() {
            certificate.check(&format!("certificates[{at}]"), &mut certified)?;
        }
        self.check_challenges()
    }
}

impl RouteTable {
    /// Both are base64url, the answer of two parts with a dot between them (RFC 8555, 8.1).
    fn check_challenges(&self) -> Result<()> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        for (at, challenge) in self.challenges.iter().enumerate() {
            for (key, text) in [("token", &challenge.token), ("answer", &challenge.answer)] {
                if !(1..=512).contains(&text.len()) || !text.bytes().all(fits) {
                    let message = format!("`{}` is none of an ACME server's", text.escape_debug());
                    return wrong(&format!("challenges[{at}].{key}"), message);
                }
            }
        }
        Ok(())
    }
}

impl Route {
    fn check(&self, field: &str) -> Result<()> {
        check_word(&format!("{field}.name"), &self.name)?;
        for host in &self.hosts {
            check_host(&format!("{field}.hosts"), host)?;
        }
        check_path(&format!("{field}.path"), &self.path)?;
        self.check_releases(field)?;
        match &self.sticky {
            Some(Sticky::Cookie { name, .. }) => check_token(&format!("{field}.sticky.name"), name)?,
            Some(Sticky::Header { name }) => check_token(&format!("{field}.sticky.name"), name)?,
            Some(Sticky::Address) | None => {}
        }
        for rule in &self.headers {
            self.check_header(&format!("{field}.headers"), rule)?;
        }
        if let Some(hold) = &self.hold {
            check_hold(&format!("{field}.hold"), hold)?;
        }
        check_timeouts(&format!("{field}.timeouts"), &self.timeouts)
    }

    fn check_releases(&self, field: &str) -> Result<()> {
        let field = format!("{field}.releases");
        if self.releases.len() > SHARES {
            return wrong(&field, format!("there are more than {SHARES} releases"));
        }
        let mut names = HashSet::new();
        for share in &self.releases {
            check_word(&field, &share.release)?;
            if !names.insert(share.release.as_str()) {
                return wrong(&field, format!("`{}` is there twice", share.release));
            }
            if share.targets.is_empty() && share.weight > 0 {
                return wrong(&field, format!("`{}` has a weight but no targets", share.release));
            }
            if share.targets.len() > TARGETS {
                return wrong(&field, format!("`{}` has more than {TARGETS} targets", share.release));
            }
            let mut addresses = HashSet::new();
            for target in &share.targets {
                if target.address.port() == 0 || target.address.ip().is_unspecified() {
                    return wrong(&field, format!("nothing can be reached at {}", target.address));
                }
                if !addresses.insert(target.address) {
                    return wrong(&field, format!("{} is there twice", target.address));
                }
                if let Some(probe) = &target.probe {
                    check_probe(&field, probe)?;
                }
            }
        }
        let sum: u32 = self.releases.iter().map(|share| u32::from(share.weight)).sum();
        // A route whose requests are held may have nobody to give them to.
        if sum == 100 || sum == 0 && (self.releases.is_empty() || self.hold.is_some()) {
            return Ok(());
        }
        wrong(&field, format!("the weights have to add up to 100, not {sum}"))
    }

    fn check_header(&self, field: &str, rule: &HeaderRoute) -> Result<()> {
        check_token(field, &rule.header)?;
        let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if rule.value.is_empty() || rule.value.len() > 256 || !rule.value.bytes().all(visible) {
            return wrong(field, "a value has to be 1 to 256 visible ASCII characters".into());
        }
        let Some(share) = self.releases.iter().find(|share| share.release == rule.release) else {
            return wrong(field, format!("`{}` is no release of this route", rule.release.escape_debug()));
        };
        if share.targets.is_empty() {
            return wrong(field, format!("`{}` has no targets", rule.release));
        }
        Ok(())
    }
}

impl CertificateFiles {
    fn check(&self, field: &str, seen: &mut HashSet<String>) -> Result<()> {
        let hosts: Vec<String> = match self.hosts.is_empty() {
            true => vec![String::new()],
            false => self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        };
        for host in hosts {
            if !host.is_empty() {
                check_host(&format!("{field}.hosts"), &host)?;
            }
            if !seen.insert(host.clone()) {
                return wrong(&format!("{field}.hosts"), format!("`{host}` has two certificates"));
            }
        }
        for (key, path) in [("chain", &self.chain), ("key", &self.key)] {
            if !path.is_absolute() {
                let message = format!("`{}` has to be an absolute path", path.display());
                return wrong(&format!("{field}.{key}"), message);
            }
        }
        Ok(())
    }
}

fn check_hold(field: &str, hold: &Hold) -> Result<()> {
    if !(1..=LONGEST_MS).contains(&hold.deadline_ms) {
        return wrong(&format!("{field}.deadlineMs"), format!("has to be from 1 to {LONGEST_MS}"));
    }
    if !(1..=100_000).contains(&hold.queue) {
        return wrong(&format!("{field}.queue"), "has to be from 1 to 100000".into());
    }
    Ok(())
}

fn check_timeouts(field: &str, timeouts: &Timeouts) -> Result<()> {
    let bounds = [
        ("connectMs", timeouts.connect_ms, LONGEST_MS),
        ("responseMs", timeouts.response_ms, LONGEST_MS),
        ("idleMs", timeouts.idle_ms, DAY_MS),
        ("drainMs", timeouts.drain_ms, DAY_MS),
    ];
    match bounds.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
        Some((key, _, most)) => wrong(&format!("{field}.{key}"), format!("has to be from 1 to {most}")),
        None => Ok(()),
    }
}

fn check_probe(field: &str, probe: &Probe) -> Result<()> {
    check_path(&format!("{field}.probe.path"), &probe.path)?;
    for (key, value) in [("intervalMs", probe.interval_ms), ("timeoutMs", probe.timeout_ms)] {
        if !(10..=LONGEST_MS).contains(&value) {
            return wrong(&format!("{field}.probe.{key}"), format!("has to be from 10 to {LONGEST_MS}"));
        }
    }
    for (key, value) in [("unhealthyAfter", probe.unhealthy_after), ("healthyAfter", probe.healthy_after)] {
        if !(1..=1000).contains(&value) {
            return wrong(&format!("{field}.probe.{key}"), "has to be from 1 to 1000".into());
        }
    }
    Ok(())
}

/// A name of ours: it ends up in logs, metrics and error pages.
fn check_word(field: &str, text: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    wrong(
        field,
        format!("`{}` has to be 1 to 128 characters of A-Z, a-z, 0-9 and -_.:/", text.escape_debug()),
    )
}

/// A header's or cookie's name, by RFC 9110.
fn check_token(field: &str, text: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    wrong(field, format!("`{}` is not a usable name for a header or cookie", text.escape_debug()))
}

fn check_host(field: &str, host: &str) -> Result<()> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let address = name.parse::<std::net::Ipv4Addr>().is_ok()
        || name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_v6);
    if name.len() <= 253 && (address && name == host || name.split('.').all(label)) {
        return Ok(());
    }
    wrong(
        field,
        format!(
            "`{}` is no host: take a name like app.example.org or *.example.org, without a port",
            host.escape_debug()
        ),
    )
}

fn is_v6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn check_path(field: &str, path: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    if path.starts_with('/') && path.len() <= 1024 && path.bytes().all(fits) {
        return Ok(());
    }
    wrong(field, format!("`{}` has to be a path that begins with /", path.escape_debug()))
}

fn wrong(field: &str, message: String) -> Result<()> {
    Err(Error::invalid(field, format!("{field}: {message}")))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
