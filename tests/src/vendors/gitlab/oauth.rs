//! An OAuth application: each refresh token is good once, and is answered with the next one.

use axum::Json;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;

use super::{Shared, lock};

pub const CLIENT: &str = "0123456789abcdefCLIENT";
pub const CLIENT_SECRET: &str = "gloas-0123456789abcdefSECRET";

/// What the server knows of the tokens, which are numbered.
#[derive(Debug, Default)]
pub struct OAuth {
    /// How many were traded. The refresh token of that number is the one that is good.
    pub traded: u64,
    /// The access token is not taken any more.
    pub is_revoked: bool,
}

impl OAuth {
    pub fn takes(&self, access: &str) -> bool {
        self.traded > 0 && !self.is_revoked && access == access_token(self.traded)
    }
}

pub fn refresh_token(number: u64) -> String {
    format!("refresh-0123456789abcdef-{number}-of-gitlab")
}

pub fn access_token(number: u64) -> String {
    format!("access-0123456789abcdef-{number}-of-gitlab")
}

pub async fn token(
    State(world): State<Shared>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let oauth = &mut lock(&world).oauth;
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    let is = |name: &str, wanted: &str| form.get(name).is_some_and(|given| given == wanted);
    if !is("client_id", CLIENT) || !is("client_secret", CLIENT_SECRET) {
        return refused("invalid_client");
    }
    if !is("grant_type", "refresh_token") || !is("refresh_token", &refresh_token(oauth.traded)) {
        return refused("invalid_grant");
    }
    oauth.traded += 1;
    oauth.is_revoked = false;
    let answer = json!({
        "access_token": access_token(oauth.traded), "token_type": "Bearer", "expires_in": 7200,
        "refresh_token": refresh_token(oauth.traded), "created_at": 1_700_000_000,
    });
    (StatusCode::OK, Json(answer))
}
