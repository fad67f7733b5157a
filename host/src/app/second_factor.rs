//! The second factor: codes of an authenticator app, and recovery codes for the day the telephone is gone.

use data_encoding::BASE32_NOPAD;

use super::App;
use super::token::hash;
use super::vault::random;
use crate::domain::Id;
use crate::domain::people::User;
use crate::domain::totp::matching_step;
use crate::error::{Error, Result};
use crate::store::{self, users};

const RECOVERY_CODES: usize = 10;

/// What an app needs to make codes. Shown once.
#[derive(Debug)]
pub struct Enrolment {
    /// In base32, for typing.
    pub secret: String,
    /// `otpauth://…`, for a QR code.
    pub url: String,
}

/// Begins: the codes of this secret count once one of them has confirmed it. Until then nothing changes.
///
/// # Errors
/// `Conflict` if there is a second factor already.
pub async fn totp_begin(app: &App, user: &User) -> Result<Enrolment> {
    if user.totp_active {
        return Err(Error::conflict("there is a second factor already; remove it first"));
    }
    let plain = random::<20>()?;
    let sealed = app.vault.seal(&context(&user.id), &plain)?;
    let id = user.id.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move { users::set_totp(tx, &id, Some(sealed.as_str()), false, &[]).await })
        })
        .await?;
    let secret = BASE32_NOPAD.encode(&plain);
    let url = format!("otpauth://totp/Windlass:{}?secret={secret}&issuer=Windlass", user.name);
    Ok(Enrolment { secret, url })
}

/// Ends the beginning: log-ins need a code from now on. Answers the recovery codes, each good for one log-in.
///
/// # Errors
/// `Invalid` for a wrong code, `Conflict` if nothing was begun.
pub async fn totp_confirm(app: &App, user: &User, code: &str) -> Result<Vec<String>> {
    let sealed = user.totp_secret.clone().filter(|_| !user.totp_active);
    let sealed = sealed.ok_or_else(|| Error::conflict("no second factor is being set up; begin anew"))?;
    let secret = app.vault.open_sealed(&context(&user.id), &sealed)?;
    let step = matching_step(&secret, code.trim(), store::now())
        .ok_or_else(|| Error::invalid("code", "the code is not right; check the clock of the telephone"))?;
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        codes.push(hex::encode(random::<8>()?));
    }
    let hashes: Vec<String> = codes.iter().map(|code| hash(code)).collect();
    let id = user.id.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                users::set_totp(tx, &id, Some(sealed.as_str()), true, &hashes).await?;
                users::take_totp_step(tx, &id, step).await.map(|_| ())
            })
        })
        .await?;
    Ok(codes)
}

/// Whether log-ins of that person need a code now.
pub async fn totp_is_active(app: &App, user: &Id) -> Result<bool> {
    Ok(users::find(&mut *app.db.read().await?, user.as_str()).await?.totp_active)
}

/// Log-ins need no code any more.
pub async fn totp_remove(app: &App, user: &Id) -> Result<()> {
    let id = user.clone();
    app.db.write(move |tx| Box::pin(async move { users::set_totp(tx, &id, None, false, &[]).await })).await
}

/// Whether this is a code that counts now. It counts once: neither it nor an older one is taken again.
pub(super) async fn totp_take(app: &App, user: &User, code: &str) -> Result<bool> {
    let Some(sealed) = &user.totp_secret else { return Ok(false) };
    let code = code.trim().to_ascii_lowercase();
    let secret = app.vault.open_sealed(&context(&user.id), sealed)?;
    let (id, step) = (user.id.clone(), matching_step(&secret, &code, store::now()));
    app.db
        .write(move |tx| {
            Box::pin(async move {
                match step {
                    Some(step) => users::take_totp_step(tx, &id, step).await,
                    None => users::take_recovery_code(tx, &id, &hash(&code)).await,
                }
            })
        })
        .await
}

fn context(user: &Id) -> String {
    format!("users/{user}/totp_secret")
}
