//! Whether the settings for log-ins through an OpenID provider make sense together.

use super::Oidc;
use crate::error::{Error, Result};

const ROLES: [&str; 4] = ["viewer", "developer", "deployer", "admin"];

impl Oidc {
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |key: &str, why: &str| {
            let field = format!("oidc.{key}");
            Err(Error::invalid(field.clone(), format!("{field} {why}")))
        };
        if self.issuer.is_empty() {
            return match self.password_login {
                true => Ok(()),
                false => wrong("password_login", "cannot be false without oidc.issuer: nobody could log in"),
            };
        }
        let is_plain = self.issuer.starts_with("http://") && self.private_network;
        if !self.issuer.starts_with("https://") && !is_plain {
            return wrong("issuer", "(WINDLASS_OIDC_ISSUER) has to start with https://");
        }
        if self.client_id.is_empty() {
            return wrong("client_id", "(WINDLASS_OIDC_CLIENT_ID) is missing; the provider gives it out");
        }
        for rule in &self.rules {
            if rule.email.is_empty() == rule.group.is_empty() {
                return wrong("rules", "have either an email or a group each");
            }
            if !rule.email.is_empty() && !rule.email.contains('@') {
                return wrong("rules", "name an email as somebody@example.org or *@example.org");
            }
            if !ROLES.contains(&rule.role.as_str()) {
                return wrong("rules", "give the role viewer, developer, deployer or admin");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use crate::config::Config;

    fn load(lines: &str) -> crate::error::Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windlass.toml");
        std::fs::write(&path, format!("[oidc]\n{lines}")).unwrap();
        Config::load(Some(&path), |_| None)
    }

    #[test]
    fn settings_that_would_shut_everybody_out_are_refused() {
        let whole = "issuer = \"https://id.example\"\nclient_id = \"w\"\n";
        assert!(load(whole).is_ok());
        for (bad, why) in [
            ("password_login = false".to_owned(), "nobody could log in"),
            ("issuer = \"http://id.example\"".to_owned(), "https://"),
            ("issuer = \"https://id.example\"".to_owned(), "client_id"),
            (format!("{whole}rules = [{{ team = \"a\", role = \"viewer\" }}]"), "either"),
            (format!("{whole}rules = [{{ group = \"a\", team = \"a\", role = \"king\" }}]"), "role"),
            (
                format!("{whole}rules = [{{ email = \"example.org\", team = \"a\", role = \"viewer\" }}]"),
                "*@",
            ),
        ] {
            let said = load(&bad).unwrap_err().to_string();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
