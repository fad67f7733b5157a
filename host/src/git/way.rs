//! The way libgit2 takes to a server whose addresses were judged.
//!
//! libgit2 resolves and connects by itself. It is therefore told of a relay in this process in place of the server, which
//! dials what was judged. Our own check of a host key goes by the name that the user wrote, and TLS is the relay's.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::RepoAccess;
use super::error::Obstacle;
use super::forge::Forge;
use super::place::Place;
use super::relay::{Kind, Relay, Target};
use crate::domain::remote::{Remote, Scheme};
use crate::error::{Error, Result};
use crate::network::Outgoing;

/// For one conversation; the relay ends with it.
pub(super) struct Way {
    /// What libgit2 is told to connect to.
    pub(super) url: String,
    relay: Relay,
}

impl Way {
    /// # Errors
    /// `Invalid` for a host that may not be reached, `Unavailable` for one that nobody knows.
    pub(super) async fn open(outgoing: &Outgoing, access: &RepoAccess) -> Result<Self> {
        let remote = Remote::parse(&access.url)
            .map_err(|why| Error::invalid("repository.url", format!("`{}` {why}", access.shown())))?;
        let explain = |obstacle: Obstacle| obstacle.explain(access);
        if let Scheme::Https | Scheme::Http = remote.scheme {
            let place = Place::find(outgoing, &remote).await.map_err(explain)?;
            let forge = Arc::new(Forge::new(outgoing, place, &remote)?);
            let relay = Relay::start(Kind::Http(Arc::clone(&forge))).await?;
            let url = format!("http://{}{}{}", user(&remote), relay.address(), forge.secret());
            return Ok(Self { url, relay });
        }
        let addresses = outgoing.addresses(remote.host, remote.port).await;
        let addresses = addresses.map_err(Obstacle::at).map_err(explain)?;
        let target = Target { host: remote.host.to_owned(), addresses, outgoing: outgoing.clone() };
        let relay = match remote.scheme {
            Scheme::Git => Relay::start(Kind::GitTunnel(target)).await?,
            _ => Relay::start(Kind::Tunnel(target)).await?,
        };
        let url = led_to(&remote, &relay.address().to_string());
        Ok(Self { url, relay })
    }

    /// Ends the relay, and with it what libgit2 waits for.
    pub(super) fn ending(&self) -> CancellationToken {
        self.relay.ending()
    }

    /// What the relay knows that libgit2 only sees the consequences of.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        self.relay.obstacle()
    }
}

/// `user@`, if the URL names one.
fn user(remote: &Remote<'_>) -> String {
    remote.user.map(|user| format!("{user}@")).unwrap_or_default()
}

/// The URL with another host. The path of `user@host:path` may begin without a slash, which ssh:// cannot say.
fn led_to(remote: &Remote<'_>, address: &str) -> String {
    let user = user(remote);
    match remote.scheme {
        Scheme::Scp => format!("[{user}{address}]:{}", remote.path),
        scheme => format!("{}://{user}{address}{}", scheme.as_str(), remote.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libgit2_is_told_another_host_and_the_same_path() {
        for (url, led) in [
            ("ssh://git@forge.example:2222/a/b.git", "ssh://git@127.0.0.1:9/a/b.git"),
            ("ssh://forge.example/~/b.git", "ssh://127.0.0.1:9/~/b.git"),
            ("git@forge.example:a/b.git", "[git@127.0.0.1:9]:a/b.git"),
            ("git://forge.example/b", "git://127.0.0.1:9/b"),
        ] {
            assert_eq!(led_to(&Remote::parse(url).expect("a URL"), "127.0.0.1:9"), led);
        }
    }
}
