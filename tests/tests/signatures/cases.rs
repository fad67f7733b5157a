//! What can be right or wrong about a delivery's signature.

use windlass::plugins::signature::SignatureError;

use crate::schemes::{Form, SIGNED_AT, Scheme};

pub const BODY: &[u8] = br#"{"ref":"refs/heads/main"}"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Signed with the secret of this place.
    Genuine(usize),
    Missing,
    Duplicate,
    Malformed,
    Mismatch,
    Stale,
    Other,
}

impl Verdict {
    pub fn of(found: &Result<usize, SignatureError>) -> Self {
        match found {
            Ok(which) => Self::Genuine(*which),
            Err(SignatureError::Missing { .. }) => Self::Missing,
            Err(SignatureError::Duplicate { .. }) => Self::Duplicate,
            Err(SignatureError::Malformed { .. }) => Self::Malformed,
            Err(SignatureError::Mismatch { .. }) => Self::Mismatch,
            Err(SignatureError::Stale { .. }) => Self::Stale,
            Err(_) => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Valid,
    FlippedBody,
    FlippedKey,
    Missing,
    Empty,
    WrongPrefix,
    CapitalDigits,
    Short,
    Long,
    DuplicatedHeader,
    Sha1Downgrade,
    WrongVersion,
    OldTimestamp,
    FutureTimestamp,
    OtherTimestamp,
    TwoSignatures,
    RotatedKey,
}

pub const CASES: [Case; 17] = [
    Case::Valid,
    Case::FlippedBody,
    Case::FlippedKey,
    Case::Missing,
    Case::Empty,
    Case::WrongPrefix,
    Case::CapitalDigits,
    Case::Short,
    Case::Long,
    Case::DuplicatedHeader,
    Case::Sha1Downgrade,
    Case::WrongVersion,
    Case::OldTimestamp,
    Case::FutureTimestamp,
    Case::OtherTimestamp,
    Case::TwoSignatures,
    Case::RotatedKey,
];

/// A delivery to be verified, and the verdicts that are right.
pub struct Delivery {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub secrets: Vec<String>,
    /// In milliseconds.
    pub now: i64,
    pub wanted: Vec<Verdict>,
}

impl Case {
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    pub fn delivery(self, scheme: &Scheme) -> Delivery {
        use Verdict::{Genuine, Mismatch, Missing};
        let secret = scheme.secret(1);
        let signed = scheme.signed(&secret, BODY, SIGNED_AT);
        let (header, prefix) = (scheme.header, scheme.prefix);
        let mut delivery = Delivery {
            headers: scheme.headers(&format!("{prefix}{signed}"), SIGNED_AT),
            body: BODY.to_vec(),
            secrets: vec![secret],
            now: SIGNED_AT * 1000,
            wanted: vec![Genuine(0)],
        };
        let is_token = scheme.form == Form::Token;
        match self {
            Self::Valid => {}
            Self::FlippedBody => {
                delivery.body[3] ^= 1;
                // A token vouches for whoever sent it, not for what was sent.
                delivery.wanted = vec![if is_token { Genuine(0) } else { Mismatch }];
            }
            Self::FlippedKey => {
                let other = scheme.signed(&scheme.secret(2), BODY, SIGNED_AT);
                delivery.headers[0].1 = format!("{prefix}{other}");
                delivery.wanted = vec![Mismatch];
            }
            Self::Missing => {
                delivery.headers.retain(|(name, _)| name != header);
                delivery.wanted = vec![Missing];
            }
            Self::DuplicatedHeader => {
                delivery.headers.push(delivery.headers[0].clone());
                delivery.wanted = vec![Verdict::Duplicate];
            }
            Self::Sha1Downgrade => {
                delivery.headers.retain(|(name, _)| name != header);
                let sha1 = "sha1=de5c55d5d1e8c2b6d5d2d2e1e8c2b6d5d2d2e1e8".to_owned();
                delivery.headers.push(("x-hub-signature".to_owned(), sha1));
                let is_its_own = header == "x-hub-signature";
                delivery.wanted = vec![if is_its_own { Verdict::Malformed } else { Missing }];
            }
            Self::RotatedKey => delivery.secrets.insert(0, scheme.secret(2)),
            Self::OldTimestamp | Self::FutureTimestamp | Self::OtherTimestamp => {
                self.at_another_time(scheme, &mut delivery)
            }
            _ => {
                let (value, wanted) = self.value(scheme, &signed);
                delivery.headers[0].1 = value;
                delivery.wanted = wanted;
            }
        }
        if self == Self::RotatedKey {
            delivery.wanted = vec![Genuine(1)];
        }
        delivery
    }

    /// Only Standard Webhooks know when they were signed.
    fn at_another_time(self, scheme: &Scheme, delivery: &mut Delivery) {
        let knows = scheme.form == Form::Standard;
        match self {
            Self::OldTimestamp => delivery.now += 301_000,
            Self::FutureTimestamp => delivery.now -= 301_000,
            _ => {
                let time = delivery.headers.iter_mut().find(|(name, _)| name == "webhook-timestamp");
                if let Some((_, time)) = time {
                    *time = (SIGNED_AT + 1).to_string();
                }
            }
        }
        delivery.wanted = vec![match (knows, self) {
            (false, _) => Verdict::Genuine(0),
            (true, Self::OtherTimestamp) => Verdict::Mismatch,
            (true, _) => Verdict::Stale,
        }];
    }

    /// The header's value, and what is to be said about it.
    fn value(self, scheme: &Scheme, signed: &str) -> (String, Vec<Verdict>) {
        use Verdict::{Genuine, Malformed, Mismatch};
        let prefix = scheme.prefix;
        let is_token = scheme.form == Form::Token;
        // Without a prefix a token may be any text, so a strange one is only a wrong one.
        let strange = vec![if is_token && prefix.is_empty() { Mismatch } else { Malformed }];
        let spoiled = vec![if is_token { Mismatch } else { Malformed }];
        match self {
            Self::Empty => (String::new(), vec![Malformed]),
            Self::WrongPrefix => (format!("sha512={signed}"), strange),
            Self::WrongVersion => (format!("v2={signed}"), strange),
            Self::CapitalDigits => {
                let wanted = match scheme.form {
                    Form::Hex { .. } => vec![Genuine(0)],
                    Form::Token => vec![Mismatch],
                    Form::Standard => vec![Mismatch, Malformed],
                };
                (format!("{prefix}{}", signed.to_uppercase()), wanted)
            }
            Self::Short => (format!("{prefix}{}", &signed[..signed.len() - 4]), spoiled),
            Self::Long => (format!("{prefix}{signed}00AA"), spoiled),
            _ => {
                let wrong = scheme.signed(&scheme.secret(3), BODY, SIGNED_AT);
                let separator = if scheme.form == Form::Standard { ' ' } else { ',' };
                let both = format!("{prefix}{wrong}{separator}{prefix}{signed}");
                let wanted = match scheme.form {
                    Form::Standard | Form::Hex { several: true } => vec![Genuine(0)],
                    _ => spoiled,
                };
                (both, wanted)
            }
        }
    }
}
