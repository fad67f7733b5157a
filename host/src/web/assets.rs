//! The stylesheet and the script: part of the program, served under a name with their hash, so browsers may keep them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// One embedded file.
pub struct Asset {
    body: &'static str,
    media_type: &'static str,
    /// `/assets/<hash>.<extension>`.
    pub path: String,
}

impl Asset {
    fn new(body: &'static str, extension: &str, media_type: &'static str) -> Self {
        let hash = hex::encode(Sha256::digest(body));
        Self { body, media_type, path: format!("/assets/{}.{extension}", &hash[..16]) }
    }
}

pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(include_str!("../../assets/style.css"), "css", "text/css; charset=utf-8"));
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(include_str!("../../assets/script.js"), "js", "text/javascript; charset=utf-8")
});
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(include_str!("../../assets/icon.svg"), "svg", "image/svg+xml"));

pub async fn asset(Path(name): Path<String>) -> Response {
    let wanted = format!("/assets/{name}");
    let found = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.path == wanted);
    match found {
        Some(asset) => {
            let cache = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, cache)], asset.body)
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
