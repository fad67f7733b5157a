//! Notifiers: an event → the requests that tell about it. Pure; the host sends them.
//!
//! ```
//! use windlass_sdk::notifier::{Event, Notifier, Request};
//! use windlass_sdk::{Connection, Failure, Manifest};
//!
//! struct Shout;
//!
//! impl Notifier for Shout {
//!     fn describe() -> Manifest {
//!         Manifest::new("shout", "0.1.0", "Posts the title of each event")
//!             .credential("token", "Token of the board", "bearer", true)
//!             .permission(&["POST"], "/messages", "posts messages")
//!     }
//!
//!     fn render(_target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
//!         Ok(vec![Request::post("/messages").credential("token").body(event.title.to_uppercase())])
//!     }
//! }
//!
//! windlass_sdk::export_notifier!(Shout);
//! ```

use std::marker::PhantomData;

use serde::Serialize;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::notifier::exports::windlass::notifier::renderer as wit;
use crate::{Connection, Failure, Manifest};

pub use wit::{Event, Request, Severity};

/// A notifier. Export it with [`crate::export_notifier!`].
pub trait Notifier {
    /// What the plugin says about itself. Must not depend on anything.
    fn describe() -> Manifest;

    /// The requests for one event, in order; none if it is not worth telling. Pure.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-settings` if the settings make no sense together.
    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure>;
}

impl Request {
    /// A request to a path relative to the connection's base URL; an empty path is the URL itself.
    pub fn post(path: &str) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            credential: None,
            extras: Vec::new(),
        }
    }

    /// A mail, for a connection to a mail server. Name the receivers with the header `to`, once for each, and put plain
    /// text into the body.
    pub fn mail(from: &str, subject: &str) -> Self {
        let mail = Self { method: "MAIL".to_owned(), ..Self::post("") };
        mail.header("from", from).header("subject", subject)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The credential slot of the manifest that the host injects.
    #[must_use]
    pub fn credential(mut self, slot: &str) -> Self {
        self.credential = Some(slot.to_owned());
        self
    }

    /// The bytes as they are; say with a header what they are.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The value as JSON, with its content type.
    ///
    /// # Errors
    /// `permanent` with the code `unwritable-request` if the value has no form in JSON.
    pub fn json(self, value: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(value).map_err(|error| {
            Failure::permanent("unwritable-request", format!("The message has no form in JSON: {error}."))
        })?;
        Ok(self.header("content-type", "application/json").body(body))
    }
}

/// At most so many characters, with a sign where something was left out.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[doc(hidden)]
pub const KIND: &str = "notifier";

/// Makes a [`Notifier`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Notifier> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind(KIND)
    }
}

impl<T: Notifier> wit::Guest for Component<T> {
    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        T::render(target, event)
    }
}
