//! How an ACME server is asked: over HTTPS, with the machine's authorities and one more that the configuration may name.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error as AcmeError, HttpClient};

use crate::error::{Error, Result};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Http(reqwest::Client);

impl Http {
    /// `root` is a PEM file with a further authority; empty: none.
    ///
    /// # Errors
    /// `Invalid` with the file if it cannot be used.
    pub fn new(root: &Path) -> Result<Self> {
        let mut client = reqwest::Client::builder().timeout(PATIENCE);
        if !root.as_os_str().is_empty() {
            let wrong = |why: String| {
                Error::invalid("acme.root", format!("acme.root: {} cannot be used: {why}", root.display()))
            };
            let pem = std::fs::read(root).map_err(|error| wrong(error.to_string()))?;
            let root = reqwest::Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
            client = client.add_root_certificate(root);
        }
        Ok(Self(client.build().map_err(Error::internal)?))
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<BytesResponse, AcmeError>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let asked = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
            let answer = asked.send().await.map_err(other)?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(Full::new(answer.bytes().await.map_err(other)?));
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok(BytesResponse::from(response))
        })
    }
}

/// With its causes: the outermost one says only that something failed.
fn other(error: reqwest::Error) -> AcmeError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    AcmeError::Other(text.into())
}
