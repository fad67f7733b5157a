//! Secrets of a BuildKit build, served when a step asks for them.
//!
//! BuildKit asks back over a session: a connection that the engine turns around, in which it is the client and we answer
//! gRPC. bollard opens such a session for log-ins, but has no secrets in it, so a build with secrets gets this one instead.

use std::collections::HashMap;

use bollard::{
    Docker as Client,
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::secrets::v1::{
            GetSecretRequest, GetSecretResponse,
            secrets_server::{Secrets, SecretsServer},
        },
        filesync::v1::{
            CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
            GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
            VerifyTokenAuthorityResponse,
            auth_server::{Auth, AuthServer},
        },
    },
};
use http::{Request as HttpRequest, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};
use tonic::{Request, Response, Status, codegen::Service};

use super::RegistryLogin;
use crate::error::{Error, Result};

/// What the engine may call, as it wants to have it in headers.
const METHODS: [&str; 2] =
    ["/moby.buildkit.secrets.v1.Secrets/GetSecret", "/moby.filesync.v1.Auth/Credentials"];

/// Ends the session when it goes.
pub(super) struct Session(JoinHandle<()>);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A client whose builds are BuildKit's, in the session with this id, and with `further` parameters.
pub(super) fn with_session(client: &Client, id: &str, further: &str) -> Client {
    let parameters = format!("&session={id}&buildid={id}{further}");
    client.clone().with_request_modifier(move |mut request| {
        if request.uri().path().ends_with("/build") {
            let address = request.uri().to_string().replace("version=1", "version=2");
            if let Ok(address) = format!("{address}{parameters}").parse() {
                *request.uri_mut() = address;
            }
        }
        request
    })
}

/// Opens the session and answers in it until the returned value goes.
///
/// # Errors
/// `Failed` if the engine is reached by TLS, or refuses.
pub(super) async fn serve(
    host: &str,
    id: &str,
    secrets: &[(String, String)],
    logins: &[RegistryLogin],
) -> Result<Session> {
    let refused =
        |why: String| Error::failed(format!("the engine at {host} takes no secrets for a build: {why}"));
    let stream = dial(host).await.map_err(|error| refused(error.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| refused(error.to_string()))?;
    tokio::spawn(connection.with_upgrades());
    let mut request = HttpRequest::post("/session")
        .header("host", "docker")
        .header("connection", "Upgrade")
        .header("upgrade", "h2c")
        .header("x-docker-expose-session-uuid", id)
        .header("x-docker-expose-session-name", "windlass");
    for method in METHODS {
        request = request.header("x-docker-expose-session-grpc-method", method);
    }
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).map_err(Error::internal)?;
    let response = sender.send_request(request).await.map_err(|error| refused(error.to_string()))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(format!("it answered {}", response.status())));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| refused(error.to_string()))?;
    let answers = Answers::new(secrets, logins);
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(
        upgraded,
        hyper::service::service_fn(move |request| answer(answers.clone(), request)),
    );
    Ok(Session(tokio::spawn(async move {
        // It ends with the build; what goes wrong in it, the build says.
        let _ = serving.await;
    })))
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn dial(host: &str) -> std::io::Result<Box<dyn Stream>> {
    if let Some(path) = host.strip_prefix("unix://") {
        return Ok(Box::new(tokio::net::UnixStream::connect(path).await?));
    }
    let address = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://"));
    let Some(address) = address.filter(|_| std::env::var_os("DOCKER_TLS_VERIFY").is_none()) else {
        return Err(std::io::Error::other(
            "it is reached by TLS, over which this server cannot hand secrets to builds yet; use unix:// or an ssh tunnel",
        ));
    };
    Ok(Box::new(tokio::net::TcpStream::connect(address.trim_end_matches('/')).await?))
}

#[derive(Clone)]
struct Answers {
    secrets: SecretsServer<Known>,
    auth: AuthServer<Known>,
    health: HealthServer<Known>,
}

#[derive(Clone)]
struct Known {
    secrets: HashMap<String, String>,
    logins: Vec<RegistryLogin>,
}

impl Answers {
    fn new(secrets: &[(String, String)], logins: &[RegistryLogin]) -> Self {
        let known = Known { secrets: secrets.iter().cloned().collect(), logins: logins.to_vec() };
        Self {
            secrets: SecretsServer::new(known.clone()),
            auth: AuthServer::new(known.clone()),
            health: HealthServer::new(known),
        }
    }
}

async fn answer(
    mut answers: Answers,
    request: HttpRequest<Incoming>,
) -> std::result::Result<http::Response<tonic::body::Body>, std::convert::Infallible> {
    match request.uri().path().split('/').nth(1) {
        Some("moby.buildkit.secrets.v1.Secrets") => answers.secrets.call(request).await,
        Some("moby.filesync.v1.Auth") => answers.auth.call(request).await,
        Some("grpc.health.v1.Health") => answers.health.call(request).await,
        _ => Ok(Status::unimplemented("this session has secrets and log-ins only").into_http()),
    }
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Secrets for Known {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Answer<GetSecretResponse> {
        let id = &request.get_ref().id;
        // BuildKit's own word for it decides whether a step may go on without.
        let value = self.secrets.get(id).ok_or_else(|| {
            Status::not_found(format!("secret {id}: not found; `build.options.secrets` has to name it"))
        })?;
        Ok(Response::new(GetSecretResponse { data: value.clone().into_bytes() }))
    }
}

#[tonic::async_trait]
impl Auth for Known {
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Answer<CredentialsResponse> {
        // BuildKit's name for Docker Hub.
        let host = match request.get_ref().host.as_str() {
            "registry-1.docker.io" => "docker.io",
            other => other,
        };
        let found = self.logins.iter().find(|login| login.registry == host);
        let (username, secret) =
            found.map(|login| (login.username.clone(), login.password.clone())).unwrap_or_default();
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Answer<FetchTokenResponse> {
        Err(Status::unimplemented("the engine fetches tokens by itself"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Answer<GetTokenAuthorityResponse> {
        Err(Status::unimplemented("the engine fetches tokens by itself"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Answer<VerifyTokenAuthorityResponse> {
        Err(Status::unimplemented("the engine fetches tokens by itself"))
    }
}

#[tonic::async_trait]
impl Health for Known {
    type WatchStream = futures_util::stream::Empty<std::result::Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Answer<HealthCheckResponse> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Answer<HealthListResponse> {
        Err(Status::unimplemented("the engine asks for the whole session's health only"))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Answer<Self::WatchStream> {
        Err(Status::unimplemented("the engine asks again by itself"))
    }
}
