//! The OpenID provider: discovered, asked, and what it answers verified (OpenID Connect Core 1.0, authorization code flow with
//! PKCE, RFC 7636).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AsyncHttpClient, AuthorizationCode, Client, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
    UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::{Origin, Url};

use crate::app::App;
use crate::config::{Config, Oidc};
use crate::domain::sign_on::Person;
use crate::error::{Error, Result};
use crate::network::Policy;

/// How long what the provider says about itself, its keys included, is believed.
const KEPT: Duration = Duration::from_secs(3600);
/// A key that is not known may be a new one; they are asked for again, but not more often.
const ASKED_AGAIN: Duration = Duration::from_secs(60);
/// Groups of one person that are looked at.
const GROUPS: usize = 1000;

/// Claims that the specification does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Extra {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Extra {}

type Fields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type OidcClient = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What a log-in that has begun needs to be ended. Sealed into a cookie of the browser that began it.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
    pub next: String,
    /// Unix time in ms.
    pub expires_at: i64,
    /// Who comes with an invitation.
    #[serde(default)]
    pub invited: Option<Invited>,
}

/// What makes somebody a member whom no rule fits.
#[derive(Serialize, Deserialize)]
pub struct Invited {
    pub secret: String,
    /// The name that was invited.
    pub name: String,
}

/// The provider of the configuration, and what it has said about itself lately.
pub struct Provider {
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    /// PEM.
    root: Option<String>,
    known: Mutex<Option<(Instant, Arc<CoreProviderMetadata>)>>,
}

impl Provider {
    /// `None` if there is none. It is not asked for anything yet.
    pub(super) fn of(config: &Config) -> Result<Option<Self>> {
        let oidc = &config.oidc;
        if oidc.issuer.is_empty() {
            return Ok(None);
        }
        let wrong =
            |field: &str, error: String| Error::invalid(field, format!("{field} cannot be used: {error}"));
        let root = match oidc.root.as_os_str().is_empty() {
            true => None,
            false => Some(
                std::fs::read_to_string(&oidc.root).map_err(|error| wrong("oidc.root", error.to_string()))?,
            ),
        };
        let redirect = format!("{}/login/oidc/callback", config.public_url());
        Ok(Some(Self {
            issuer: IssuerUrl::new(oidc.issuer.clone())
                .map_err(|error| wrong("oidc.issuer", error.to_string()))?,
            redirect: RedirectUrl::new(redirect)
                .map_err(|error| wrong("server.public_url", error.to_string()))?,
            root,
            known: Mutex::default(),
        }))
    }

    fn http(&self, app: &App) -> Http {
        Http { app: app.clone(), own: self.issuer.url().origin(), root: self.root.clone() }
    }

    async fn metadata(&self, app: &App, longest: Duration) -> Result<Arc<CoreProviderMetadata>> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = known.as_ref()
            && at.elapsed() < longest
        {
            return Ok(metadata.clone());
        }
        let http = self.http(app);
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &http).await;
        let found = Arc::new(found.map_err(|error| {
            Error::unavailable(format!(
                "the OpenID provider {} is not understood: {}",
                *self.issuer,
                told(&error)
            ))
        })?);
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    fn client(&self, oidc: &Oidc, metadata: &CoreProviderMetadata) -> OidcClient {
        let secret = Some(oidc.client_secret.clone()).filter(|secret| !secret.is_empty());
        OidcClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(oidc.client_id.clone()),
            secret.map(ClientSecret::new),
        )
        .set_redirect_uri(self.redirect.clone())
    }

    /// Where the browser is sent, and what is needed when it comes back.
    pub(super) async fn begin(&self, app: &App, next: &str, expires_at: i64) -> Result<(Url, Begun)> {
        let oidc = &app.config.oidc;
        let metadata = self.metadata(app, KEPT).await?;
        let client = self.client(oidc, &metadata);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        for scope in &oidc.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
        let begun = Begun {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            next: next.to_owned(),
            expires_at,
            invited: None,
        };
        Ok((url, begun))
    }

    /// Who it is, after the provider has sent them back with a code.
    ///
    /// # Errors
    /// `Unauthenticated` if the provider does not take the code, or what it answers is not what it has to be.
    pub(super) async fn finish(&self, app: &App, code: &str, begun: Begun) -> Result<Person> {
        let oidc = &app.config.oidc;
        let http = self.http(app);
        let metadata = self.metadata(app, KEPT).await?;
        let client = self.client(oidc, &metadata);
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(|error| {
            Error::unavailable(format!("the OpenID provider names no token endpoint: {error}"))
        })?;
        let tokens = exchange
            .set_pkce_verifier(PkceCodeVerifier::new(begun.verifier))
            .request_async(&http)
            .await
            .map_err(|error| refused(format!("the provider does not take the code: {}", told(&error))))?;
        let nonce = Nonce::new(begun.nonce);
        let extra = match verified(&client, &tokens, &nonce) {
            Ok(claims) => claims,
            // The provider may have begun to sign with another key.
            Err(_) => {
                let metadata = self.metadata(app, ASKED_AGAIN).await?;
                let client = self.client(oidc, &metadata);
                verified(&client, &tokens, &nonce)?
            }
        };
        let asked = match client.user_info(tokens.access_token().clone(), Some(extra.subject.clone())) {
            Err(_) => None,
            Ok(request) => {
                let answer: std::result::Result<UserInfoClaims<Extra, CoreGenderClaim>, _> =
                    request.request_async(&http).await;
                Some(answer.map_err(|error| {
                    refused(format!("the provider does not say who it is: {}", told(&error)))
                })?)
            }
        };
        Ok(extra.person(asked.as_ref(), &oidc.groups_claim))
    }
}

/// The way to the provider.
struct Http {
    app: App,
    /// The issuer's.
    own: Origin,
    root: Option<String>,
}

impl Http {
    /// The operator's word that its network is private counts for the issuer's own address; what its document names elsewhere
    /// has to be public, and HTTPS.
    async fn send(app: App, own: Origin, root: Option<String>, request: HttpRequest) -> Result<HttpResponse> {
        let url = Url::parse(&request.uri().to_string()).map_err(Error::internal)?;
        let is_own = url.origin() == own;
        if !is_own && url.scheme() != "https" {
            let text = format!("the OpenID provider names {url}, which is neither its own address nor HTTPS");
            return Err(Error::unavailable(text));
        }
        let may_be_private = is_own && app.config.oidc.private_network;
        let policy = if may_be_private { Policy::anywhere() } else { Policy::internet() };
        app.plugins.fetch(request, policy, root.as_deref()).await
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Error;
    type Future = BoxFuture<'static, Result<HttpResponse>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(Self::send(self.app.clone(), self.own.clone(), self.root.clone(), request))
    }
}

/// What the ID token says.
struct Claims {
    subject: openidconnect::SubjectIdentifier,
    email: Option<String>,
    name: Option<String>,
    extra: Map<String, Value>,
}

fn verified(client: &OidcClient, tokens: &Tokens, nonce: &Nonce) -> Result<Claims> {
    let odd = |why: String| refused(format!("the provider's ID token does not hold: {why}"));
    let token = tokens.id_token().ok_or_else(|| odd("there is none".into()))?;
    let verifier = client.id_token_verifier();
    let claims = token.claims(&verifier, nonce).map_err(|error| odd(told(&error)))?;
    if let Some(wanted) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| odd(error.to_string()))?;
        let key = token.signing_key(&verifier).map_err(|error| odd(error.to_string()))?;
        let found = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
        if found.map_err(|error| odd(error.to_string()))? != *wanted {
            return Err(odd("it belongs to another access token".into()));
        }
    }
    let is_verified = claims.email_verified() == Some(true);
    Ok(Claims {
        subject: claims.subject().clone(),
        email: claims.email().filter(|_| is_verified).map(|email| email.to_lowercase()),
        name: claims.preferred_username().map(|name| name.as_str().to_owned()),
        extra: claims.additional_claims().all.clone(),
    })
}

impl Claims {
    /// Providers put some claims into the token, others where it can be asked for; the token's own go first.
    fn person(self, asked: Option<&UserInfoClaims<Extra, CoreGenderClaim>>, groups_claim: &str) -> Person {
        let asked_email = asked
            .filter(|asked| asked.email_verified() == Some(true))
            .and_then(|asked| asked.email())
            .map(|email| email.to_lowercase());
        let asked_name =
            asked.and_then(|asked| asked.preferred_username()).map(|name| name.as_str().to_owned());
        let groups = self
            .extra
            .get(groups_claim)
            .or_else(|| asked.and_then(|asked| asked.additional_claims().all.get(groups_claim)));
        Person {
            subject: self.subject.as_str().to_owned(),
            email: self.email.or(asked_email),
            name: self.name.or(asked_name),
            groups: groups.map(texts).unwrap_or_default(),
        }
    }
}

/// A list of texts, or one alone.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => {
            all.iter().filter_map(|one| one.as_str().map(str::to_owned)).take(GROUPS).collect()
        }
        _ => Vec::new(),
    }
}

fn refused(why: String) -> Error {
    Error::Unauthenticated(why)
}

/// An error with what caused it: the outer ones say only that a request failed.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text.chars().take(500).collect()
}
