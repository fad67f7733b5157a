//! HTTPS and HTTP/2.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use windlass_tests::port::free_port;
use windlass_tests::router::{TestRouter, Upstream, fresh, table};

/// Takes any certificate: the tests look at it themselves.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn connect(
    address: SocketAddr,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(name.to_string()).unwrap(), stream)
        .await
}

/// A certificate that signs itself, with its key.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")])
        .arg("-out")
        .arg(&chain)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (chain, key)
}

fn certified(table: &mut Value, files: &[(&[&str], &(PathBuf, PathBuf))]) {
    let entries =
        files.iter().map(|(hosts, (chain, key))| json!({ "hosts": hosts, "chain": chain, "key": key }));
    table["certificates"] = entries.collect();
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn read(files: &(PathBuf, PathBuf)) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.0).unwrap()
}

/// Some requests at once over one HTTP/2 connection.
async fn ask_by_http2<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    scheme: &str,
) -> Vec<String> {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (send, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let asked = (0..5).map(|n| {
        let mut send = send.clone();
        let request = axum::http::Request::post(format!("{scheme}://app.example.org/echo"))
            .body(Full::new(Bytes::from(format!("request {n}"))))
            .unwrap();
        async move {
            let answer = send.send_request(request).await.unwrap();
            assert_eq!(answer.version(), axum::http::Version::HTTP_2);
            String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
        }
    });
    futures_util::future::join_all(asked).await
}

fn five() -> Vec<String> {
    (0..5).map(|n| format!("request {n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_works_with_prior_knowledge() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    router.apply(&table(1, &[("b", 100, &[blue.address])])).await;
    let stream = TcpStream::connect(router.address).await.unwrap();
    assert_eq!(ask_by_http2(stream, "http").await, five());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_gets_its_certificate_and_each_client_its_protocol() {
    let blue = Upstream::start("blue").await;
    let https = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let router = TestRouter::start_with(&[("WINDLASS_ROUTER_HTTPS", &https.to_string())]).await;
    let (one, two) = (
        certificate(router.folder.path(), "app.example.org"),
        certificate(router.folder.path(), "wild.example.net"),
    );
    let mut table = table(1, &[("b", 100, &[blue.address])]);
    certified(&mut table, &[(&["app.example.org"], &one), (&["*.example.net"], &two)]);
    router.apply(&table).await;

    let stream = connect(https, "app.example.org", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(shown(&stream), read(&one));
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(ask_by_http2(stream, "https").await, five());

    let mut stream = connect(https, "a.example.net", &["http/1.1"]).await.unwrap();
    assert_eq!(shown(&stream), read(&two));
    let ask = "GET /headers HTTP/1.1\r\nHost: a.example.net\r\nConnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"x-forwarded-proto\":\"https\""), "{text}");

    assert!(connect(https, "unknown.example.com", &[]).await.is_err(), "there is no certificate for it");
    // A new certificate for the same name is in use with the table that brings it.
    let next = certificate(router.folder.path(), "app2.example.org");
    table["version"] = json!(2);
    certified(&mut table, &[(&["app.example.org"], &next)]);
    router.apply(&table).await;
    assert_eq!(shown(&connect(https, "app.example.org", &[]).await.unwrap()), read(&next));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_sent_to_https_where_the_route_wants_it() {
    let blue = Upstream::start("blue").await;
    let router = TestRouter::start().await;
    let mut table = table(1, &[("b", 100, &[blue.address])]);
    table["routes"][0]["redirectHttps"] = json!(true);
    router.apply(&table).await;
    let answer =
        fresh().post(router.url("/a?b=c")).header("host", "app.example.org:8080").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 308);
    assert_eq!(answer.headers()["location"], "https://app.example.org/a?b=c");
    assert_eq!(blue.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_its_certificate_is_refused() {
    let router = TestRouter::start().await;
    let (one, two) =
        (certificate(router.folder.path(), "one.example"), certificate(router.folder.path(), "two.example"));
    let mut table = table(1, &[]);
    certified(&mut table, &[(&["one.example"], &(one.0, two.1))]);
    let error = router.client.apply(&windlass_tests::router::parse(&table)).await.unwrap_err().to_string();
    assert!(error.contains("two.example.key") && error.contains("fit"), "{error}");
}
