//! Requests to Jenkins, and what its refusals mean.

use serde::de::DeserializeOwned;
use windlass_sdk::Failure;
use windlass_sdk::http::{Error, Request, Response};

/// The slot for `user:token`, with which Jenkins asks for no crumb.
pub const TOKEN: &str = "token";
/// The slot for `user:password`.
pub const PASSWORD: &str = "basic";
/// A redirect that the host did not follow: the request itself was served.
pub const REDIRECTED: &str = "redirect-refused";

/// Milliseconds for one request: a call that used up all its time could not tell why.
const PATIENCE_MS: u32 = 10_000;
/// Characters of Jenkins' own words that a failure repeats.
const QUOTED: usize = 300;

/// A request that changes nothing, and has to succeed.
pub fn read(request: Request) -> Result<Response, Failure> {
    let judged = send(&request).and_then(judged);
    judged.map_err(|failure| Failure { request_sent: false, ..failure })
}

/// What is at the path, as JSON; none if Jenkins has nothing there, or hides it.
pub fn find<T: DeserializeOwned>(path: &str, tree: &str) -> Result<Option<T>, Failure> {
    match read(Request::get(format!("{path}/api/json")).query("tree", tree)) {
        Ok(response) => json(&response).map(Some),
        Err(failure) if failure.code == "status-404" => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The body of an answer to a request that changed nothing.
pub fn json<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    response.json().map_err(|failure| Failure { request_sent: false, ..failure })
}

/// A request that changes something, and has to succeed. Its failure says rightly whether it may have.
pub fn change(request: Request) -> Result<Response, Failure> {
    send(&request).and_then(judged)
}

/// Sends it with whichever of the two credentials the operator entered.
fn send(request: &Request) -> Result<Response, Failure> {
    let answer = request.clone().timeout_ms(PATIENCE_MS).send_with(&[TOKEN, PASSWORD]);
    if answer.as_ref().is_err_and(Error::is_empty_slot) {
        let said = "The connection has no credential for Jenkins. Please enter `user:token` with an API token as `token`, or \
                    `user:password` as `basic`.";
        return Err(Failure::auth_required("no-credential", said));
    }
    answer.map_err(|error| match error {
        Error::Denied(why) if why.contains("redirect was refused") => {
            Failure::permanent(REDIRECTED, format!("Jenkins took the request, and {why}.")).after_sending()
        }
        // The crumb was asked for and refused, so the request itself was not sent.
        Error::Denied(why) if why.contains("did not accept the secret") => {
            Failure::auth_required("unauthorized", format!("Jenkins does not take the credential: {why}."))
        }
        Error::Connect(why) if why.contains("nothing was sent") => {
            Failure::retry(None, "connect", format!("Jenkins cannot be reached: {why}."))
        }
        other => other.into(),
    })
}

/// The response if it is a success, otherwise what it means.
fn judged(response: Response) -> Result<Response, Failure> {
    if response.is_success() {
        return Ok(response);
    }
    let status = response.status;
    let pause = response.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
    let code = format!("status-{status}");
    let said = words(&response);
    Err(match status {
        401 => Failure::auth_required(
            &code,
            format!("Jenkins does not take the credential (status 401). Please check user and token. {said}"),
        ),
        403 if pause.is_none() => Failure::auth_required(&code, missing_right(&response, &said)),
        403 | 429 => Failure::rate_limited(pause, &code, format!("Jenkins asks for a pause. {said}")),
        408 | 500..=599 => {
            let said = format!("Jenkins is in trouble (status {status}): {said}");
            // What answered may be a proxy that had handed the request on before.
            Failure::retry(pause, &code, said).after_sending()
        }
        300..=399 => {
            let said = format!("Jenkins answered with a redirect to nowhere (status {status}).");
            Failure::permanent(REDIRECTED, said).after_sending()
        }
        _ => Failure::permanent(&code, format!("Jenkins refused this with status {status}: {said}")),
    })
}

/// Jenkins names the right that lacks in a header, and says in words if it is the crumb that lacks.
fn missing_right(response: &Response, said: &str) -> String {
    match response.header("x-required-permission") {
        Some(right) => format!(
            "The credential lacks the right `{right}` in Jenkins. Please grant it to this user, or use another one."
        ),
        None if said.contains("crumb") => {
            format!(
                "Jenkins wants a crumb with this credential. Please use an API token in place of a password. {said}"
            )
        }
        None => format!("The credential has too few rights in Jenkins (status 403). {said}"),
    }
}

/// What Jenkins said, in one line: the header it has for that, or its page without the markup.
fn words(response: &Response) -> String {
    if let Some(error) = response.header("x-error") {
        return error.chars().take(QUOTED).collect();
    }
    let (mut plain, mut in_tag) = (String::new(), false);
    for character in response.text().chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                plain.push(' ');
            }
            _ if !in_tag => plain.push(character),
            _ => {}
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ").chars().take(QUOTED).collect()
}

pub fn no_such_job(job: &str) -> Failure {
    let said =
        format!("Jenkins has no job `{job}`, or hides it from this user, who then lacks the right Job/Read.");
    Failure::permanent("no-such-job", said)
}

pub fn no_such_build(build: &str, job: &str) -> Failure {
    let said = format!(
        "Jenkins has no build `{build}` of the job `{job}`. It was deleted, or taken out of the queue some time ago."
    );
    Failure::permanent("no-such-build", said)
}
