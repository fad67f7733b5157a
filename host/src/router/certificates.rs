//! Certificates by server name, read when a table is applied.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::live::Live;
use crate::domain::route::CertificateFiles;
use crate::error::{Error, Result};

/// For server names in lower case; `.example.org` for those below, an empty one for the rest.
#[derive(Debug, Default)]
pub struct Certificates(HashMap<String, Arc<CertifiedKey>>);

impl Certificates {
    /// # Errors
    /// `Invalid` with the file that cannot be used.
    pub fn load(files: &[CertificateFiles]) -> Result<Self> {
        let mut certificates = Self::default();
        for entry in files {
            certificates.add(entry)?;
        }
        Ok(certificates)
    }

    /// Those that can be read: at start it is better to serve the others than nothing.
    pub fn load_readable(files: &[CertificateFiles]) -> Self {
        let mut certificates = Self::default();
        for entry in files {
            if let Err(error) = certificates.add(entry) {
                tracing::error!("[@router:tls] a certificate is left out: {error}");
            }
        }
        certificates
    }

    fn add(&mut self, files: &CertificateFiles) -> Result<()> {
        let key = Arc::new(read(files)?);
        if files.hosts.is_empty() {
            self.0.insert(String::new(), key.clone());
        }
        for host in &files.hosts {
            let name = host.strip_prefix('*').unwrap_or(host).to_ascii_lowercase();
            self.0.insert(name, key.clone());
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let mut parents = name.char_indices().filter(|(_, letter)| *letter == '.');
        self.0
            .get(&name)
            .or_else(|| parents.find_map(|(at, _)| self.0.get(&name[at..])))
            .or_else(|| self.0.get(""))
    }
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey> {
    let wrong = |path: &Path, why: String| {
        Error::invalid("certificates", format!("{} cannot be used: {why}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.chain)
        .and_then(|certificates| certificates.collect())
        .map_err(|error| wrong(&files.chain, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(&files.chain, "there is no certificate in it".into()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|error| wrong(&files.key, format!("it does not fit the certificate: {error}")))
}

pub fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// Answers with the certificate of the table in use.
#[derive(Debug)]
pub struct Resolver(pub Arc<ArcSwap<Live>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().certificates.find(hello.server_name().unwrap_or_default()).cloned()
    }
}
