//! Sealed secrets as text: `x1:<sealed>` under the first master key itself, and `x2:<version>:<data key>:<sealed>` under a
//! data key that the master key of that version wraps.

const FIRST: &str = "x1:";
const SECOND: &str = "x2:";

/// The parts of a sealed text, base64 where they are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed<'a> {
    /// Without a data key, as the first release sealed.
    Plain {
        sealed: &'a str,
    },
    Enveloped {
        version: u32,
        wrapped: &'a str,
        sealed: &'a str,
    },
}

impl<'a> Sealed<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(sealed) = text.strip_prefix(FIRST) {
            return Some(Self::Plain { sealed });
        }
        let mut parts = text.strip_prefix(SECOND)?.split(':');
        let version = parts.next()?.parse().ok()?;
        let (wrapped, sealed) = (parts.next()?, parts.next()?);
        parts.next().is_none().then_some(Self::Enveloped { version, wrapped, sealed })
    }

    /// Version of the master key that it needs.
    pub fn version(self) -> u32 {
        match self {
            Self::Plain { .. } => 1,
            Self::Enveloped { version, .. } => version,
        }
    }

    /// Whether the text looks sealed. What a person writes must never, or it could not be told from a secret.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(FIRST) || text.starts_with(SECOND)
    }

    pub fn text(version: u32, wrapped: &str, sealed: &str) -> String {
        format!("{SECOND}{version}:{wrapped}:{sealed}")
    }
}

/// A rotation of the keys that secrets are sealed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRotation {
    pub id: super::Id,
    /// Version of the master key that everything is to be sealed with.
    pub version: u32,
    /// Every secret gets a new data key as well.
    pub data_keys: bool,
    /// Secrets that were moved to the new key.
    pub moved: u64,
    /// Secrets that could not be opened and stay as they are.
    pub failed: u64,
    /// Where the first of them are.
    pub error: Option<String>,
    pub started_at: super::UnixMs,
    pub finished_at: Option<super::UnixMs>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_told_apart_and_name_their_key() {
        assert_eq!(Sealed::parse("x1:abc").map(Sealed::version), Some(1));
        let text = Sealed::text(7, "key", "text");
        assert_eq!(
            Sealed::parse(&text),
            Some(Sealed::Enveloped { version: 7, wrapped: "key", sealed: "text" })
        );
        for bad in ["", "abc", "x2:", "x2:a:b:c", "x2:1:b", "x2:1:b:c:d", "x3:1:b:c", "x2:-1:b:c"] {
            assert_eq!(Sealed::parse(bad), None, "{bad}");
        }
    }
}
