//! What the router needs: its ports, and certificates that can be read.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Check;
use crate::config::{Config, OwnCertificate};
use crate::router::client::RouterClient;

pub(super) async fn router_checks(config: &Config) -> Vec<Check> {
    let router = &config.router;
    if !router.enabled {
        return Vec::new();
    }
    // If it runs, it is who has the ports.
    let runs = RouterClient::new(&config.server.data_dir).health().await.is_ok();
    let addresses = router.http.iter().map(|address| ("router.http", address));
    let addresses = addresses.chain(router.https.iter().map(|address| ("router.https", address)));
    let mut checks: Vec<Check> = addresses.map(|(key, address)| port(key, *address, runs)).collect();
    checks.extend(router.certificates.iter().filter_map(unreadable));
    checks
}

fn port(key: &str, address: SocketAddr, runs: bool) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => Check::ok("router", format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && runs => {
            Check::ok("router", format!("it runs and listens on {address}"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Check::fail(
            "router",
            format!("{address} is taken by another program"),
            format!("Stop that, or change {key}."),
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Check::fail(
            "router",
            format!("{address} may not be listened on"),
            format!("Ports below 1024 take root or the capability CAP_NET_BIND_SERVICE; or change {key}."),
        ),
        Err(error) => Check::fail(
            "router",
            format!("{address} cannot be listened on: {error}"),
            format!("Set {key} to addresses of this machine."),
        ),
    }
}

/// What is wrong with a certificate of the operator's own. The router refuses a table with it, and then nothing changes.
fn unreadable(own: &OwnCertificate) -> Option<Check> {
    let advice = "Correct router.certificates; the files have to be PEM and readable for the server.";
    let wrong = |path: &std::path::Path, error: String| {
        Some(Check::fail("router", format!("{} cannot be used: {error}", path.display()), advice))
    };
    let chain = CertificateDer::pem_file_iter(&own.chain);
    if let Err(error) = chain.and_then(|chain| chain.collect::<Result<Vec<_>, _>>()) {
        return wrong(&own.chain, error.to_string());
    }
    PrivateKeyDer::from_pem_file(&own.key).err().and_then(|error| wrong(&own.key, error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_fine_only_if_the_router_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port("router.http", address, true).verdict, Verdict::Ok);
        let check = port("router.http", address, false);
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.advice.unwrap().contains("router.http"));
        drop(taken);
        assert_eq!(port("router.http", address, false).verdict, Verdict::Ok);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named() {
        let own = |chain: &str| OwnCertificate { hosts: Vec::new(), chain: chain.into(), key: chain.into() };
        let check = unreadable(&own("/nowhere/chain.pem")).unwrap();
        assert!(check.verdict == Verdict::Fail && check.detail.contains("/nowhere/chain.pem"), "{check:?}");
    }
}
