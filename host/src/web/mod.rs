//! TEMP
pub fn router() -> axum::Router<crate::app::App> {
    axum::Router::new()
}
