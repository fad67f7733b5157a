//! Whether the record is what was written: its chain, its ends, and the signatures on it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Auditor;
use crate::domain::audit::{AuditEntry, AuditHead, Chain, Checkpoint};
use crate::error::{Error, Result};

/// Old entries may be removed while the record is read; then it is read again.
const TRIES: u32 = 10;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub intact: bool,
    /// What is wrong, in words; the first thing that was found.
    pub problem: Option<String>,
    /// The first entry that is kept, and the last one.
    pub first: i64,
    pub last: i64,
    /// The last entry's hash: noted elsewhere, it proves later that nothing before it was changed.
    pub hash: String,
    /// Good signatures.
    pub checkpoints: u64,
}

impl Auditor {
    /// Reads the whole record and checks it.
    ///
    /// # Errors
    /// Only if it cannot be read; a record that was tampered with is a result.
    pub async fn verify(&self) -> Result<Verified> {
        for _ in 0..TRIES {
            let (head, checkpoints, public) = self.frame().await?;
            let mut walk = Walk::new(&head, checkpoints, &public);
            let mut problem = (!head.is_genuine(&self.mac))
                .then(|| "the record's ends were changed by something else than this server".to_string());
            let mut cursor = i64::MIN;
            while problem.is_none() {
                let batch = self.after(cursor).await?;
                let Some(last) = batch.last() else { break };
                cursor = last.seq;
                // What was added since we began is checked the next time.
                problem = batch
                    .iter()
                    .filter(|entry| entry.seq <= head.seq)
                    .try_for_each(|entry| walk.push(entry))
                    .err();
            }
            let now = self.frame().await?.0;
            if now.first != head.first {
                // Old entries were removed meanwhile.
                continue;
            }
            if problem.is_none() && cursor > now.seq {
                problem = Some(format!("entry {cursor} is beyond the record's end, {}", now.seq));
            }
            return Ok(walk.result(&head, problem));
        }
        Err(Error::unavailable("old entries of the record are being removed; try again in a minute"))
    }
}

/// The chain and the signatures of an export as `windlass audit export` writes it, without a server. Its ends are only what
/// the file says; a checkpoint from elsewhere can prove that the file is not cut.
///
/// # Errors
/// `Invalid` if this is no export.
pub fn verify_export(text: &str) -> Result<Verified> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Frame {
        head: AuditHead,
        checkpoints: Vec<Checkpoint>,
        public_key: String,
    }
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let frame: Frame = lines.next().and_then(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
        Error::invalid("file", "this is no export of the record: its first line has to be the head")
    })?;
    let mut walk = Walk::new(&frame.head, frame.checkpoints, &frame.public_key);
    let mut problem = None;
    for (n, line) in lines.enumerate() {
        let entry: AuditEntry = serde_json::from_str(line)
            .map_err(|error| Error::invalid("file", format!("line {} is no entry: {error}", n + 2)))?;
        problem = walk.push(&entry).err();
        if problem.is_some() {
            break;
        }
    }
    Ok(walk.result(&frame.head, problem))
}

struct Walk {
    chain: Chain,
    checkpoints: Vec<Checkpoint>,
    key: Option<VerifyingKey>,
    good: u64,
}

impl Walk {
    fn new(head: &AuditHead, checkpoints: Vec<Checkpoint>, public: &str) -> Self {
        let key = VerifyingKey::from_public_key_pem(public.trim()).ok();
        Self { chain: Chain::after(head.first, &head.base), checkpoints, key, good: 0 }
    }

    fn push(&mut self, entry: &AuditEntry) -> Result<(), String> {
        self.chain.push(entry)?;
        for checkpoint in self.checkpoints.iter().filter(|checkpoint| checkpoint.seq == entry.seq) {
            if checkpoint.hash != entry.hash {
                return Err(format!("entry {} is not the one that was signed in its time", entry.seq));
            }
        }
        Ok(())
    }

    fn result(mut self, head: &AuditHead, found: Option<String>) -> Verified {
        let problem = found.or_else(|| self.ends_badly(head));
        let (last, hash) = self.chain.end();
        Verified {
            intact: problem.is_none(),
            problem,
            first: head.first,
            last,
            hash: hash.to_owned(),
            checkpoints: self.good,
        }
    }

    fn ends_badly(&mut self, head: &AuditHead) -> Option<String> {
        let (last, hash) = self.chain.end();
        if last != head.seq {
            return Some(format!("the record ends with entry {last}, but {} were written", head.seq));
        }
        if hash != head.hash {
            return Some(format!("entry {last} is not the last one that was written"));
        }
        for checkpoint in &self.checkpoints {
            if checkpoint.seq > last {
                return Some(format!("entry {} was signed, but the record ends with {last}", checkpoint.seq));
            }
            if !self.key.as_ref().is_some_and(|key| is_signed(key, checkpoint)) {
                return Some(format!(
                    "the signature of the checkpoint at entry {} is not good",
                    checkpoint.seq
                ));
            }
            self.good += 1;
        }
        None
    }
}

fn is_signed(key: &VerifyingKey, checkpoint: &Checkpoint) -> bool {
    let Some(signature) = BASE64.decode(&checkpoint.signature).ok() else { return false };
    let Ok(signature) = Signature::from_der(&signature) else { return false };
    key.verify(checkpoint.statement().as_bytes(), &signature).is_ok()
}
