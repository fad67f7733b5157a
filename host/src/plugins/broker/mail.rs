//! Mails: composed by a plugin, sent by the host to the connection's own server (RFC 5321, RFC 6409).
//!
//! `smtps://` is TLS from the first byte on, `smtp://` wants STARTTLS. Only a server that the operator says is in a private
//! network may do without, and never gets a password then.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::Client;
use super::connection::{Connection, Secret};
use super::refusal::Refusal;

/// Most receivers of one mail.
const RECEIVERS: usize = 32;

/// What a plugin composed.
#[derive(Debug, Clone)]
pub(in crate::plugins) struct Mail {
    pub(in crate::plugins) headers: Vec<(String, String)>,
    /// Plain text in UTF-8.
    pub(in crate::plugins) body: Vec<u8>,
    pub(in crate::plugins) credential: Option<String>,
    /// The same for each attempt.
    pub(in crate::plugins) id: String,
}

/// Sends it over a connection to the server's checked address.
pub(super) async fn send(
    tcp: TcpStream,
    client: &Client,
    connection: &Connection,
    mail: &Mail,
    login: Option<&Secret>,
) -> Result<(), Refusal> {
    let message = message(mail)?;
    let origin = connection.origin();
    let hello = ClientId::Domain("windlass.localdomain".to_owned());
    let stream: Box<dyn AsyncTokioStream> = match origin.is_tls {
        true => Box::new(Secured(client.secured(tcp, origin, connection.trusted()).await?)),
        false => Box::new(tcp),
    };
    let mut smtp = AsyncSmtpConnection::connect_with_transport(stream, &hello).await.map_err(answered)?;
    let mut is_secure = origin.is_tls;
    if !is_secure && smtp.can_starttls() {
        smtp.starttls(parameters(connection)?, &hello).await.map_err(answered)?;
        is_secure = true;
    }
    if !is_secure && (login.is_some() || !connection.is_on_private_network()) {
        let said = "the mail server offers no STARTTLS, so the mail, and a password, could be read on the way. Please use a \
                    server with smtps:// or STARTTLS";
        return Err(Refusal::denied("tls", said));
    }
    if let Some(login) = login {
        smtp.auth(DEFAULT_MECHANISMS, &credentials(login)?).await.map_err(answered)?;
    }
    smtp.send(message.envelope(), &message.formatted()).await.map_err(answered)?;
    // The mail is taken; a server that ends badly changes nothing.
    let _ = smtp.quit().await;
    Ok(())
}

/// Everything that could end a header is refused or encoded by the builder.
fn message(mail: &Mail) -> Result<Message, Refusal> {
    let denied = |said: String| Refusal::denied("mail", said);
    let (mut builder, mut to) = (Message::builder(), 0);
    for (name, value) in &mail.headers {
        let mailbox = || {
            let read = value.parse::<Mailbox>();
            read.map_err(|error| denied(format!("`{}` is no mail address: {error}", value.escape_debug())))
        };
        builder = match name.as_str() {
            "from" => builder.from(mailbox()?),
            "reply-to" => builder.reply_to(mailbox()?),
            "to" => {
                to += 1;
                builder.to(mailbox()?)
            }
            "subject" => builder.subject(value.chars().filter(|c| !c.is_control()).collect::<String>()),
            other => {
                let known = "from, to, reply-to and subject";
                return Err(denied(format!(
                    "a mail has the headers {known}, not `{}`",
                    other.escape_debug()
                )));
            }
        };
    }
    if to > RECEIVERS {
        return Err(denied(format!("a mail goes to at most {RECEIVERS} addresses")));
    }
    let text = String::from_utf8(mail.body.clone()).map_err(|_| denied("the mail is not UTF-8".into()))?;
    builder
        .message_id(Some(format!("<{}@windlass>", mail.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| denied(format!("the mail is not complete: {error}")))
}

fn credentials(login: &Secret) -> Result<Credentials, Refusal> {
    let text = std::str::from_utf8(login.expose()).ok().and_then(|text| text.split_once(':'));
    let (user, password) = text.ok_or_else(|| {
        Refusal::denied("credential", "the login of a mail server has to be `user:password`")
    })?;
    Ok(Credentials::new(user.to_owned(), password.to_owned()))
}

fn parameters(connection: &Connection) -> Result<TlsParameters, Refusal> {
    let failed = |error: lettre::transport::smtp::Error| Refusal::tls(error.to_string());
    let host = connection.origin().host.trim_start_matches('[').trim_end_matches(']');
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = connection.trusted() {
        builder = builder.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(failed)?);
    }
    builder.build_rustls().map_err(failed)
}

/// 4xx may work later, 5xx never will (RFC 5321, section 4.2.1); without an answer it may as well.
fn answered(error: lettre::transport::smtp::Error) -> Refusal {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        said = format!("{said}: {inner}");
        source = inner.source();
    }
    match error.is_permanent() {
        true => Refusal::denied("mail", format!("the mail server refused the mail: {said}")),
        false if error.is_tls() => Refusal::tls(said),
        false => Refusal::connect(format!("the mail server did not take the mail: {said}")),
    }
}

/// TLS from the first byte on.
struct Secured(TlsStream<TcpStream>);

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secured")
    }
}

impl AsyncTokioStream for Secured {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
