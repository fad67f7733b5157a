//! A connection to a CI/CD provider, and how it answered lately.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rate::RateBudget;
use crate::domain::{Id, UnixMs};

/// How many of the last checks the error rate is about.
const KEPT: usize = 20;

#[derive(Debug, Clone, PartialEq)]
pub struct CicdProvider {
    pub id: Id,
    pub seq: i64,
    /// Name of the plugin.
    pub kind: String,
    pub name: String,
    pub url: String,
    pub port: Option<u16>,
    pub auth_type: AuthType,
    /// Sealed.
    pub credentials: Option<String>,
    /// Sealed.
    pub webhook_secret: Option<String>,
    /// The plugin's.
    pub settings: Value,
    /// The operator says that the URL leads into a private network.
    pub private_network: bool,
    /// In PEM; trusted beside the system's.
    pub certificates: Option<String>,
    pub tenant_id: Option<String>,
    pub team_id: Option<String>,
    pub creator_id: Option<String>,
    pub is_active: bool,
    pub health: ProviderHealth,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    Token,
    Basic,
}

impl AuthType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Basic => "basic",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Token, Self::Basic].into_iter().find(|one| one.as_str() == word)
    }
}

/// How a provider answered lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderHealth {
    pub checked_at: Option<UnixMs>,
    pub response_ms: Option<i64>,
    pub account: String,
    pub server_version: String,
    /// Why it is not well.
    pub error: Option<String>,
    pub failing_since: Option<UnixMs>,
    /// The credential is not taken: waiting does not help.
    pub unauthorized: bool,
    /// The provider asked for silence until then.
    pub limited_until: Option<UnixMs>,
    /// Of the last checks, oldest first.
    pub recent: Vec<bool>,
    /// Requests that it still takes, where it says so.
    pub budget: Option<RateBudget>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderState {
    /// Never asked.
    Unknown,
    Healthy,
    /// It does not answer, or not well. Builds go on being followed.
    Degraded,
    /// It does not take the credential.
    Unauthorized,
    /// It answers, and asks to be left alone for a while.
    Limited,
}

impl ProviderState {
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::Healthy, Self::Degraded, Self::Unauthorized, Self::Limited];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unauthorized => "unauthorized",
            Self::Limited => "limited",
        }
    }
}

impl ProviderHealth {
    pub fn state(&self, now: UnixMs) -> ProviderState {
        match (self.checked_at, &self.error) {
            (None, _) => ProviderState::Unknown,
            _ if self.limited_until.is_some_and(|until| until > now) => ProviderState::Limited,
            (_, None) => ProviderState::Healthy,
            (_, Some(_)) if self.unauthorized => ProviderState::Unauthorized,
            (_, Some(_)) => ProviderState::Degraded,
        }
    }

    /// Of the last checks, in percent.
    pub fn error_percent(&self) -> u32 {
        let failed = self.recent.iter().filter(|well| !**well).count();
        let percent = (failed * 100).checked_div(self.recent.len()).unwrap_or(0);
        u32::try_from(percent).unwrap_or(100)
    }

    /// It answered.
    pub fn well(&mut self, at: UnixMs, response_ms: i64, account: String, server_version: String) {
        self.remember(at, true);
        (self.account, self.server_version) = (account, server_version);
        self.response_ms = Some(response_ms);
        (self.error, self.failing_since, self.unauthorized, self.limited_until) = (None, None, false, None);
    }

    /// It did not, or not well.
    pub fn unwell(&mut self, at: UnixMs, why: String, unauthorized: bool, limited_until: Option<UnixMs>) {
        self.remember(at, false);
        self.error = Some(why);
        self.failing_since.get_or_insert(at);
        (self.unauthorized, self.limited_until, self.response_ms) = (unauthorized, limited_until, None);
    }

    fn remember(&mut self, at: UnixMs, well: bool) {
        self.checked_at = Some(at);
        self.recent.push(well);
        let over = self.recent.len().saturating_sub(KEPT);
        self.recent.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_degraded_until_it_answers_again_and_its_past_is_counted() {
        let mut health = ProviderHealth::default();
        assert_eq!(health.state(0), ProviderState::Unknown);
        health.unwell(10, "no answer".into(), false, None);
        health.unwell(20, "no answer".into(), false, None);
        assert_eq!((health.state(20), health.failing_since), (ProviderState::Degraded, Some(10)));
        health.well(30, 5, "ada".into(), "1".into());
        health.well(40, 5, "ada".into(), "1".into());
        assert_eq!((health.state(40), health.error_percent()), (ProviderState::Healthy, 50));
        health.unwell(50, "slow down".into(), false, Some(60));
        assert_eq!((health.state(55), health.state(65)), (ProviderState::Limited, ProviderState::Degraded));
        for at in 0..100 {
            health.unwell(at, "token".into(), true, None);
        }
        assert_eq!((health.recent.len(), health.error_percent()), (KEPT, 100));
        assert_eq!(health.state(100), ProviderState::Unauthorized);
    }
}
