//! Passwords: argon2id on a few threads, with a short queue before them. A password costs some 30 ms and 19 MiB on
//! purpose, so whoever tries many must not get all of the machine.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Passwords that are worked on at the same time, and those that may wait besides.
const WORKERS: usize = 2;
const QUEUE: usize = 16;
/// Characters, as NIST SP 800-63B asks for at least; more than the maximum would only be work.
pub const MIN: usize = 12;
const MAX: usize = 256;

/// The threads and the queue before them.
#[derive(Clone)]
pub struct Passwords {
    workers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { workers: Arc::new(Semaphore::new(WORKERS)), queue: Arc::new(Semaphore::new(WORKERS + QUEUE)) }
    }
}

impl Passwords {
    /// The PHC string of a new password, with a salt of its own.
    ///
    /// # Errors
    /// `Invalid` for one that is too short or too long, `Unavailable` while too many are waiting.
    pub async fn hash(&self, password: String) -> Result<String> {
        if !(MIN..=MAX).contains(&password.chars().count()) {
            let text =
                format!("a password has {MIN} to {MAX} characters; a few words in a row are a good one");
            return Err(Error::invalid("password", text));
        }
        self.run(move || {
            let hash = Argon2::default().hash_password(password.as_bytes()).map_err(Error::internal)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether it is the password with that PHC string. Without one it takes as long and is not.
    ///
    /// # Errors
    /// `Unavailable` while too many are waiting.
    pub async fn is_right(&self, password: String, hash: Option<String>) -> Result<bool> {
        if password.chars().count() > MAX {
            return Ok(false);
        }
        self.run(move || {
            let Some(hash) = hash else {
                Argon2::default().hash_password(password.as_bytes()).map_err(Error::internal)?;
                return Ok(false);
            };
            let parsed = PasswordHash::new(&hash).map_err(Error::internal)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let busy =
            || Error::unavailable("too many people are logging in right now; try again in a few seconds");
        let place = self.queue.clone().try_acquire_owned().map_err(|_| busy())?;
        let worker = self.workers.clone().acquire_owned().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            // Held until the work has ended, even if nobody waits for it any more.
            let _held = (place, worker);
            work()
        })
        .await
        .map_err(Error::internal)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits_and_two_hashes_differ() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery".into()).await.expect("it is long enough");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse battery".into()).await.expect("it is long enough"));
        assert!(
            passwords.is_right("correct horse battery".into(), Some(hash.clone())).await.expect("a verdict")
        );
        assert!(!passwords.is_right("correct horse batterz".into(), Some(hash)).await.expect("a verdict"));
        assert!(!passwords.is_right("correct horse battery".into(), None).await.expect("a verdict"));
        assert!(matches!(passwords.hash("short".into()).await, Err(Error::Invalid { .. })));
    }

    #[tokio::test]
    async fn beyond_the_queue_nobody_waits() {
        let passwords = Passwords::default();
        let _taken = passwords.queue.clone().acquire_many_owned((WORKERS + QUEUE) as u32).await;
        let refused = passwords.is_right("correct horse battery".into(), None).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))));
    }
}
