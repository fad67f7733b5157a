//! One-time codes by time (RFC 6238, with HMAC-SHA-1, which is what authenticator apps know).

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::UnixMs;

const STEP_SECS: i64 = 30;
const DIGITS: u32 = 6;

/// The number of the half minute.
pub fn step_at(now: UnixMs) -> i64 {
    now.div_euclid(1000 * STEP_SECS)
}

/// The step whose code this is: the current one or either neighbour, since clocks differ and people type slowly.
pub fn matching_step(secret: &[u8], code: &str, now: UnixMs) -> Option<i64> {
    let current = step_at(now);
    [current, current - 1, current + 1].into_iter().find(|step| {
        let wanted = code_at(secret, *step);
        wanted.len() == code.len() && subtle::ConstantTimeEq::ct_eq(wanted.as_bytes(), code.as_bytes()).into()
    })
}

/// The code of a step, six digits.
pub fn code_at(secret: &[u8], step: i64) -> String {
    format!("{:0width$}", value(secret, step, DIGITS), width = DIGITS as usize)
}

/// RFC 4226, 5.3: four bytes from where the last one points to.
fn value(secret: &[u8], step: i64, digits: u32) -> u32 {
    // A key of any length will do for an HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return 0 };
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest.last().copied().unwrap_or(0) & 0xf);
    let bytes = digest.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).unwrap_or_default();
    (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 10u32.pow(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn the_vectors_of_the_rfc_come_out() {
        // RFC 6238, appendix B, the rows for SHA1.
        for (seconds, code) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(value(SECRET, step_at(seconds * 1000), 8), code, "{seconds}");
        }
    }

    #[test]
    fn a_code_counts_for_its_half_minute_and_the_one_on_either_side() {
        let at = 1_111_111_111_000;
        let code = format!("{:06}", value(SECRET, step_at(at), 6));
        for (shift, fits) in [(0, true), (-30_000, true), (30_000, true), (-60_000, false), (61_000, false)] {
            assert_eq!(matching_step(SECRET, &code, at + shift).is_some(), fits, "{shift}");
        }
        for odd in ["", "05047", "0504710", "abcdef", "050470"] {
            assert_eq!(matching_step(SECRET, odd, at), None, "{odd}");
        }
    }
}
