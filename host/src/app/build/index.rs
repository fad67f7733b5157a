//! The index of an image's platforms. Engines push images only, so this server asks the registry by itself: over the way out
//! that judges addresses, and with the log-in that the engine gets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::app::App;
use crate::app::registry::{Way, way_to};
use crate::domain::image_index;
use crate::domain::image_name::{HUB, registry_of, repository_of, tag_of};
use crate::domain::text::is_deceptive;
use crate::error::{Error, Result};
use crate::network::Policy;

/// Where Docker Hub answers.
const HUB_HOST: &str = "registry-1.docker.io";
/// Characters of a registry's own words that are shown.
const WORDS: usize = 300;

/// Puts an index under `target`, `repository:tag`. The images, with their platforms, were pushed to the same repository.
/// Answers with the index's name, `repository@sha256:…`.
///
/// # Errors
/// `Unavailable` if the registry does not answer, `Failed` with its words if it refuses.
pub(super) async fn put(app: &App, target: &str, images: &[(String, &str)]) -> Result<String> {
    let repository = repository_of(target);
    let registry = Registry::of(app, repository).await?;
    let mut entries = Vec::new();
    for (image, platform) in images {
        entries.extend(registry.entries(tag_of(image), platform).await?);
    }
    let (media_type, bytes) = image_index::index(&entries);
    let digest = image_index::digest(&bytes);
    registry.write(tag_of(target), media_type, bytes).await?;
    Ok(format!("{repository}@{digest}"))
}

/// One repository in a registry (OCI distribution specification).
struct Registry<'a> {
    app: &'a App,
    repository: &'a str,
    /// `https://registry.example:5000`
    origin: String,
    /// The repository as its registry calls it.
    name: &'a str,
    way: Way,
}

impl<'a> Registry<'a> {
    async fn of(app: &'a App, repository: &'a str) -> Result<Self> {
        let way = way_to(app, repository).await?;
        let (origin, name) = place(repository);
        Ok(Self { app, repository, origin, name, way })
    }

    /// What an index says of the image under this tag.
    async fn entries(&self, tag: &str, platform: &str) -> Result<Vec<Value>> {
        let accepted = image_index::ACCEPTED.join(", ");
        let answer = self.ask(Method::GET, tag, (ACCEPT, &accepted), Vec::new()).await?;
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let manifest = answer.body();
        let digest = image_index::digest(manifest);
        image_index::entries(manifest, media_type.unwrap_or_default(), &digest, platform).map_err(|why| {
            Error::failed(format!("{}:{tag} cannot stand in an index: {why}", self.repository))
        })
    }

    async fn write(&self, tag: &str, media_type: &str, index: Vec<u8>) -> Result<()> {
        self.ask(Method::PUT, tag, (CONTENT_TYPE, media_type), index).await.map(|_| ())
    }

    /// Asks for a manifest, and once more with the proof that the registry wants.
    async fn ask(
        &self,
        method: Method,
        tag: &str,
        (header, value): (HeaderName, &str),
        body: Vec<u8>,
    ) -> Result<Response<Vec<u8>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v2/{}/manifests/{tag}", self.origin, self.name))
            .header(header, value)
            .body(body)
            .map_err(|_| Error::failed(format!("{}:{tag} cannot be asked for by HTTP", self.repository)))?;
        let mut answer = self.fetch(request.clone(), &self.way.registry).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(proof) = self.proof(answer.headers()).await?
        {
            request.headers_mut().insert(AUTHORIZATION, proof);
            answer = self.fetch(request, &self.way.registry).await?;
        }
        self.refusal(&answer).map_or(Ok(answer), Err)
    }

    async fn fetch(&self, request: Request<Vec<u8>>, policy: &Policy) -> Result<Response<Vec<u8>>> {
        let answer = self.app.plugins.fetch(request, policy.clone(), None).await;
        answer.map_err(|error| {
            Error::unavailable(format!(
                "the registry of {} does not answer this server, which has to write the index of the platforms there: \
                 {error}",
                self.repository
            ))
        })
    }

    fn refusal(&self, answer: &Response<Vec<u8>>) -> Option<Error> {
        let status = answer.status();
        if status.is_success() {
            return None;
        }
        let advice = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; store a log-in that may push there: windlass registry add"
            }
            _ => "",
        };
        let said = format!(
            "the registry of {} refused the index of the platforms with {status}{}{advice}",
            self.repository,
            words(answer.body())
        );
        let is_passing = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        Some(if is_passing { Error::unavailable(said) } else { Error::failed(said) })
    }

    /// What proves who asks, in the way that the registry wants it; none if there is nothing to prove it with.
    async fn proof(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>> {
        for challenge in headers.get_all(WWW_AUTHENTICATE) {
            let challenge = challenge.to_str().unwrap_or_default();
            let scheme = challenge.split(' ').next().unwrap_or_default();
            if scheme.eq_ignore_ascii_case("bearer") {
                return self.token(challenge).await.map(Some);
            }
            if scheme.eq_ignore_ascii_case("basic") {
                return Ok(self.basic());
            }
        }
        Ok(None)
    }

    fn basic(&self) -> Option<HeaderValue> {
        let login = self.way.logins.first()?;
        secret("Basic", &STANDARD.encode(format!("{}:{}", login.username, login.password)))
    }

    /// A token from where the registry says that it hands them out; anonymously if there is no log-in.
    async fn token(&self, challenge: &str) -> Result<HeaderValue> {
        let realm = realm(challenge, &self.origin, &format!("repository:{}:pull,push", self.name)).map_err(
            |why| Error::failed(format!("the registry of {} cannot be logged in to: {why}", self.repository)),
        )?;
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = realm.as_str().parse().map_err(Error::internal)?;
        if let Some(basic) = self.basic() {
            request.headers_mut().insert(AUTHORIZATION, basic);
        }
        let policy = if is_own(&realm, &self.origin) { &self.way.registry } else { &self.way.tokens };
        let answer = self.fetch(request, policy).await?;
        if let Some(refused) = self.refusal(&answer) {
            return Err(refused);
        }
        let parsed: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let token = parsed["token"].as_str().or_else(|| parsed["access_token"].as_str());
        token.and_then(|token| secret("Bearer", token)).ok_or_else(|| {
            Error::failed(format!("the registry of {} hands out tokens that are none", self.repository))
        })
    }
}

/// The registry's address and the repository's name there. As for engines, a registry on this machine needs no TLS.
fn place(repository: &str) -> (String, &str) {
    let registry = registry_of(repository);
    let name = repository.strip_prefix(registry).map_or(repository, |rest| rest.trim_start_matches('/'));
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let is_here =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme = if is_here { "http" } else { "https" };
    let registry = if registry == HUB { HUB_HOST } else { registry };
    (format!("{scheme}://{registry}"), name)
}

/// Where a token for this scope is asked for. It gets the log-in, so it has to be the registry's own address, or HTTPS.
fn realm(challenge: &str, origin: &str, scope: &str) -> Result<Url, String> {
    let realm = parameter(challenge, "realm").ok_or("it does not say where it hands out tokens")?;
    let mut url = Url::parse(realm)
        .map_err(|error| format!("`{}` is no address to get a token from: {error}", realm.escape_debug()))?;
    if !is_own(&url, origin) && url.scheme() != "https" {
        return Err(format!(
            "it hands out tokens at {url}, which is neither its own address nor HTTPS, so the log-in is not sent there"
        ));
    }
    url.set_fragment(None);
    if let Some(service) = parameter(challenge, "service") {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", scope);
    Ok(url)
}

fn is_own(url: &Url, origin: &str) -> bool {
    Url::parse(origin).is_ok_and(|own| own.origin() == url.origin())
}

/// The value of `name="value"` in a challenge (RFC 9110, section 11.2).
fn parameter<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn secret(scheme: &str, value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {value}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The registry's own words, `: …`, if it has some.
fn words(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = parsed["errors"][0]["message"].as_str().unwrap_or_default();
    let said: String = said.chars().filter(|c| !is_deceptive(*c)).take(WORDS).collect();
    if said.is_empty() { said } else { format!(": {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;

    #[test]
    fn a_repository_says_where_its_registry_answers() {
        for (repository, origin, name) in [
            ("registry.example:5000/team/web", "https://registry.example:5000", "team/web"),
            ("127.0.0.1:5000/web", "http://127.0.0.1:5000", "web"),
            ("localhost/web", "http://localhost", "web"),
            ("team/web", "https://registry-1.docker.io", "team/web"),
            ("docker.io/team/web", "https://registry-1.docker.io", "team/web"),
        ] {
            assert_eq!(place(repository), (origin.to_string(), name), "{repository}");
        }
    }

    #[test]
    fn a_token_is_asked_for_where_the_challenge_says() {
        let url = realm(CHALLENGE, "https://registry.example", "repository:a/b:pull,push").map(String::from);
        let expected =
            "https://auth.example/token?service=registry.example&scope=repository%3Aa%2Fb%3Apull%2Cpush";
        assert_eq!(url.as_deref(), Ok(expected));
        let own = realm(r#"Bearer realm="http://127.0.0.1:5000/token""#, "http://127.0.0.1:5000", "x");
        assert!(own.is_ok());
    }

    #[test]
    fn a_log_in_goes_to_nobody_without_tls() {
        for challenge in [
            r#"Bearer realm="http://169.254.169.254/latest""#,
            r#"Bearer realm="http://127.0.0.1:6000/token""#,
            r#"Bearer realm="file:///etc/passwd""#,
            "Bearer",
        ] {
            assert!(realm(challenge, "http://127.0.0.1:5000", "x").is_err(), "{challenge}");
        }
    }

    #[test]
    fn a_refusal_has_the_registrys_words_and_nothing_that_deceives() {
        assert_eq!(
            words(b"{\"errors\":[{\"message\":\"manifest\\u202e blob unknown\"}]}"),
            ": manifest blob unknown"
        );
        assert_eq!(words(b"<html>"), "");
    }
}
