//! TLS towards others: whose certificates are trusted, and in which words one is refused.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a connection is not secured.
#[derive(Debug)]
pub enum Unsecured {
    /// The two sides do not agree; above all, the certificate of the other one is not valid.
    Tls(rustls::Error),
    /// What we have to begin with cannot be used.
    Unusable(String),
    Broken(io::Error),
}

/// What other servers' certificates are judged by: the certificates that the system trusts, read once.
#[derive(Debug, Default)]
pub(super) struct Trust {
    system: OnceLock<Arc<RootCertStore>>,
}

impl Trust {
    /// `further` are certificates in PEM that are trusted as well. The host may be an IPv6 address in brackets.
    pub(super) async fn secured<S: Stream>(
        &self,
        stream: S,
        host: &str,
        further: Option<&str>,
    ) -> Result<TlsStream<S>, Unsecured> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| Unsecured::Unusable(error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(self.config(further)?));
        connector.connect(name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(why) => Unsecured::Tls(why.clone()),
                None => Unsecured::Broken(error),
            }
        })
    }

    fn config(&self, further: Option<&str>) -> Result<ClientConfig, Unsecured> {
        let mut roots = self.system.get_or_init(|| Arc::new(system_roots())).clone();
        if let Some(pem) = further {
            let roots = Arc::make_mut(&mut roots);
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let added = certificate
                    .map_err(|error| error.to_string())
                    .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
                added.map_err(|error| {
                    let said = format!("the connection's own certificates cannot be read: {error}");
                    Unsecured::Unusable(said)
                })?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Unsecured::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            "[@network] The system has no certificates that can be trusted ({ignored} unreadable, {} errors), so \
             nothing can be reached by https. Please install the package of CA certificates.",
            found.errors.len()
        );
    }
    roots
}

/// Why a certificate is not valid, as the end of a sentence. It names nobody: to whom a certificate belongs in an internal
/// network is not for everybody to know.
pub fn why_invalid(error: &CertificateError) -> String {
    use CertificateError as E;
    let said = match error {
        E::UnknownIssuer => "nobody whom this machine trusts has issued it",
        E::Expired | E::ExpiredContext { .. } => "it has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet",
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another name",
        E::Revoked => "it was revoked",
        E::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is an authority's own (CA:TRUE), which a server must not show as its own"
        }
        other => return other.to_string(),
    };
    said.to_owned()
}
