//! One's own second factor: set up with a QR code, confirmed by a first code, removed by another.

use askama::Template;
use axum::extract::{Form, State};
use qrcode::{Color, QrCode};
use serde::Deserialize;

use super::page::{Frame, PageResult, render, render_with};
use super::people;
use super::session::Session;
use crate::api;
use crate::app::App;
use crate::app::login::code_check;
use crate::app::second_factor::{totp_begin, totp_confirm, totp_remove};
use crate::error::{Error, Result};

#[derive(Template)]
#[template(path = "second_factor.html")]
struct SecondFactorPage {
    frame: Frame,
    /// In groups of four; empty when it was shown already.
    secret: String,
    qr: Option<Qr>,
    error: String,
    /// Present once it counts.
    recovery_codes: Vec<String>,
}

/// A QR code as one path: a square of one unit for each dark module.
struct Qr {
    side: usize,
    path: String,
}

/// Empty space that readers need around a code (ISO 18004), in modules.
const QUIET: usize = 4;

impl Qr {
    /// `None` for what does not fit into a code, which no address of ours is.
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::new(text).ok()?;
        let width = code.width();
        let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
        let path = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET));
        Some(Self { side: width + 2 * QUIET, path: path.collect() })
    }
}

fn page(session: &Session, error: &str) -> SecondFactorPage {
    SecondFactorPage {
        frame: Frame::new(session, "people", "Second factor").crumb("/people", "People"),
        secret: String::new(),
        qr: None,
        error: error.to_owned(),
        recovery_codes: Vec::new(),
    }
}

/// The answer itself shows the secret: it is nowhere else to be read, so there is nothing to redirect to.
pub async fn begin(State(app): State<App>, session: Session) -> PageResult {
    session.0.who.unlimited()?;
    let made = match totp_begin(&app, &session.0.who.user).await {
        Ok(made) => made,
        Err(error) => return people::answered::<()>(&app, &session, Err(error), "").await,
    };
    let groups: Vec<String> =
        made.secret.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    render(&SecondFactorPage { secret: groups.join(" "), qr: Qr::of(&made.url), ..page(&session, "") })
}

#[derive(Deserialize)]
pub struct CodeForm {
    code: String,
}

pub async fn confirm(State(app): State<App>, session: Session, Form(form): Form<CodeForm>) -> PageResult {
    session.0.who.unlimited()?;
    match totp_confirm(&app, &session.0.who.user, &form.code).await {
        Ok(recovery_codes) => render(&SecondFactorPage { recovery_codes, ..page(&session, "") }),
        Err(error @ Error::Invalid { .. }) => {
            render_with(api::status(&error), &page(&session, &error.to_string()))
        }
        Err(error) => people::answered::<()>(&app, &session, Err(error), "").await,
    }
}

pub async fn remove(State(app): State<App>, session: Session, Form(form): Form<CodeForm>) -> PageResult {
    session.0.who.unlimited()?;
    let removed = take_away(&app, &session, &form.code).await;
    people::answered(&app, &session, removed, "Your second factor is removed. Log-ins need no code any more.")
        .await
}

/// A code is asked for, so that a session that was left open does not suffice.
async fn take_away(app: &App, session: &Session, code: &str) -> Result<()> {
    let user = &session.0.who.user;
    code_check(app, user, code).await?;
    totp_remove(app, &user.id).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_the_space_around_it() {
        let qr = Qr::of("otpauth://totp/Windlass:ada?secret=JBSWY3DPEHPK3PXP&issuer=Windlass").unwrap();
        let last = qr.side - QUIET - 1;
        for corner in [(QUIET, QUIET), (last, QUIET), (QUIET, last)] {
            assert!(qr.path.contains(&format!("M{} {}h1", corner.0, corner.1)), "{corner:?}");
        }
        assert!(!qr.path.contains("M3 ") && !qr.path.contains(&format!("M{} ", last + 1)));
    }
}
