//! Log-ins to registries of images.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::stack::check_name;
use super::{Id, UnixMs};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    pub id: Id,
    pub seq: i64,
    /// What people call it. Unique.
    pub name: String,
    /// `registry.example:5000` as images name it, or `docker.io`. Unique.
    pub address: String,
    /// Empty for a registry that asks nobody.
    pub username: String,
    /// Sealed.
    pub password: Option<String>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a person writes to create or change a registry. Unknown fields are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryInput {
    pub name: String,
    /// `registry.example:5000` as images name it, or `docker.io`.
    pub address: String,
    #[serde(default)]
    pub username: String,
    /// Password or access token; in a file a reference. Left out in a change: the stored one is kept.
    #[serde(default)]
    pub password: Option<String>,
}

/// Without the password.
impl std::fmt::Debug for RegistryInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryInput({} at {})", self.name, self.address)
    }
}

impl RegistryInput {
    /// What can be said of it without asking the registry.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        check_address(&self.address)?;
        if self.username.len() > 255 || self.username.chars().any(char::is_control) {
            return Err(Error::invalid(
                "username",
                "a user's name has at most 255 characters, none of them control characters",
            ));
        }
        if self.username.is_empty() && self.password.as_deref().is_some_and(|text| !text.is_empty()) {
            return Err(Error::invalid("username", "a password needs the user's name it belongs to"));
        }
        Ok(())
    }
}

/// The rule for the address of a registry: what an image's name may begin with.
pub fn check_address(address: &str) -> Result<()> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    let host_fits = (1..=253).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && !host.starts_with(['-', '.'])
        && (host.contains('.') || port.is_some() || host == "localhost");
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host_fits && port_fits {
        return Ok(());
    }
    Err(Error::invalid(
        "address",
        format!(
            "`{}` is not the address of a registry: write host or host:port as images have it, such as \
             `registry.example:5000` or `docker.io`, without https:// and without a path",
            address.escape_debug()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_an_image_begins_with() {
        for good in ["docker.io", "registry.example:5000", "localhost", "127.0.0.1:5000", "r:443"] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        for bad in
            ["", "https://r.example", "r.example/x", "Registry.example", "r", "r:0", "r.example:x", "-x.y"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
