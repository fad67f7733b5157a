//! Certificates that an ACME server (RFC 8555) issues for the hosts of stacks, and when they are got.

use super::UnixMs;

const MINUTE_MS: i64 = 60_000;
/// After the first failure; it doubles with each further one. An ACME server counts failures, too: Let's Encrypt refuses more
/// after five in an hour.
const FIRST_PAUSE_MS: i64 = 5 * MINUTE_MS;
const LONGEST_PAUSE_MS: i64 = 24 * 60 * MINUTE_MS;

/// The certificate of one host, or the wish to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// In lower case.
    pub host: String,
    /// PEM, the host's own first. `None` until one was issued.
    pub chain: Option<String>,
    pub sealed_key: Option<String>,
    pub not_before: Option<UnixMs>,
    pub not_after: Option<UnixMs>,
    /// When it is got for the first time, renewed, or tried again.
    pub due_at: UnixMs,
    /// In a row.
    pub failures: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    pub updated_at: UnixMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// None was issued yet.
    Pending,
    /// None could be got so far.
    Failing,
    Valid,
    /// It is valid, and the renewal fails.
    RenewalFailing,
    Expired,
}

impl CertificateState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failing => "failing",
            Self::Valid => "valid",
            Self::RenewalFailing => "renewal_failing",
            Self::Expired => "expired",
        }
    }
}

impl Certificate {
    pub fn state(&self, now: UnixMs) -> CertificateState {
        match (self.not_after, self.failures) {
            (None, 0) => CertificateState::Pending,
            (None, _) => CertificateState::Failing,
            (Some(end), _) if end <= now => CertificateState::Expired,
            (Some(_), 0) => CertificateState::Valid,
            (Some(_), _) => CertificateState::RenewalFailing,
        }
    }
}

/// When a certificate is renewed: when a third of its lifetime is left, and up to a thirtieth later, so that those issued
/// together are not renewed together. `chance` is from 0 to 1.
pub fn renew_at(not_before: UnixMs, not_after: UnixMs, chance: f64) -> UnixMs {
    let lifetime = (not_after - not_before).max(0);
    not_after - lifetime / 3 + (lifetime as f64 / 30.0 * chance.clamp(0.0, 1.0)) as i64
}

/// When it is tried again after so many failures in a row. `chance` is from 0 to 1.
pub fn retry_at(now: UnixMs, failures: u32, chance: f64) -> UnixMs {
    let pause = FIRST_PAUSE_MS.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_PAUSE_MS);
    now + (pause as f64 * (0.8 + 0.4 * chance.clamp(0.0, 1.0))) as i64
}

/// Whether an ACME server can check the host by asking it over HTTP: names with `*` and addresses it cannot.
pub fn can_be_checked(host: &str) -> bool {
    !host.contains('*') && !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn it_is_renewed_in_the_last_third_of_its_lifetime_and_not_all_at_once() {
        let (early, late) = (renew_at(0, 90 * DAY_MS, 0.0), renew_at(0, 90 * DAY_MS, 1.0));
        assert_eq!((early, late), (60 * DAY_MS, 63 * DAY_MS));
        assert_eq!(renew_at(5, 0, 0.5), 0, "a lifetime that makes no sense is over");
    }

    #[test]
    fn failures_in_a_row_make_the_pauses_longer_up_to_a_day() {
        let pause = |failures| retry_at(0, failures, 0.5) / MINUTE_MS;
        assert_eq!([pause(1), pause(2), pause(5), pause(12), pause(4_000_000)], [5, 10, 80, 1440, 1440]);
        assert!(retry_at(0, 1, 0.0) < retry_at(0, 1, 1.0));
    }

    #[test]
    fn the_state_says_what_people_have_to_know() {
        let none = Certificate {
            host: "app.example.org".into(),
            chain: None,
            sealed_key: None,
            not_before: None,
            not_after: None,
            due_at: 0,
            failures: 0,
            error: None,
            updated_at: 0,
        };
        let issued = Certificate { not_after: Some(10), ..none.clone() };
        let failing = |row: &Certificate| Certificate { failures: 1, ..row.clone() };
        assert_eq!(none.state(5), CertificateState::Pending);
        assert_eq!(failing(&none).state(5), CertificateState::Failing);
        assert_eq!(issued.state(5), CertificateState::Valid);
        assert_eq!(failing(&issued).state(5), CertificateState::RenewalFailing);
        assert_eq!(failing(&issued).state(10), CertificateState::Expired);
    }

    #[test]
    fn only_names_that_can_be_asked_over_http_are_wanted() {
        assert!(can_be_checked("app.example.org"));
        assert!(["*.example.org", "192.0.2.1", "[::1]"].iter().all(|host| !can_be_checked(host)));
    }
}
