//! Is the new release worse than the stable one? Two sequential tests on what the traffic says.
//!
//! Both are Wald's sequential probability ratio test (A. Wald, "Sequential Tests of Statistical Hypotheses", 1945): the
//! logarithm of how much better "worse" explains the samples than "as good" is compared with two bounds. Below the lower
//! one the release is as good, above the upper one it is worse, in between nobody can tell yet. It is the right test
//! here because it may be looked at again and again while requests come in, without raising the chance of a wrong
//! verdict, as comparing at a fixed level each time would; and because no test of the same reliability needs fewer requests.
//!
//! - **Errors**: "worse" is that `points` more of 100 answers fail than of the stable release's. The stable release's own
//!   rate is not known but sampled too, so each hypothesis is taken with the rate that fits both samples best
//!   (the profile likelihood of two binomials). One that is far worse fits "worse by `points`" hardly better than "as good", so
//!   "worse" is taken with some multiples of `points` in equal parts: a mixture of such tests keeps what they promise
//!   (H. Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", 1970). To be as good it has to be so
//!   in comparison with `points` alone.
//! - **Latency**: an answer is *slow* if it takes longer than the stable release's 95th percentile and what is tolerated
//!   on top. Of an equally fast release at most 5 % of the answers are; "worse" is that 10 % are. How many
//!   are is read from the three percentiles of a sample, interpolated as if the logarithms of the times were normal
//!   between them. No assumption is made about the times of the stable release.
//!
//! ```
//! use windlass_sdk::strategy::analysis::{self, Tally, Verdict};
//!
//! let stable = Tally { requests: 2_000, errors: 3 };
//! let verdict = |requests, errors| analysis::verdict(analysis::errors(Tally { requests, errors }, stable, 3));
//! assert_eq!(verdict(200, 10), Verdict::Failed);
//! assert_eq!(verdict(250, 0), Verdict::Success);
//! assert_eq!(verdict(40, 1), Verdict::Inconclusive);
//! ```

use serde::{Deserialize, Serialize};

use super::Sample;

/// A release as good as the stable one is taken for worse once in a thousand times: ln((1 - 0.005) / 0.001).
const REJECT: f64 = 6.903;
/// A release that is exactly `points` worse is taken for good five times in a thousand, a worse one more
/// rarely: ln(0.005 / (1 - 0.001)).
const ACCEPT: f64 = -5.297;
/// How much worse a worse release may be, in multiples of what is tolerated.
const MULTIPLES: [f64; 3] = [1.0, 3.0, 9.0];
/// What nobody tolerates; beyond it a multiple means nothing.
const HIGHEST_MARGIN: f64 = 0.95;
/// Shares of slow answers under the two hypotheses.
const SLOW_IF_AS_GOOD: f64 = 0.05;
const SLOW_IF_WORSE: f64 = 0.10;
/// The 50th, 95th and 99th percentile of the standard normal distribution.
const QUANTILES: [f64; 3] = [0.0, 1.644_854, 2.326_348];
const SMALLEST_RATE: f64 = 1e-9;
/// Times below are not told apart, in milliseconds.
const SMALLEST_MS: f64 = 0.001;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As good as the stable release.
    Success,
    /// Worse.
    Failed,
    /// Too few requests to tell.
    Inconclusive,
}

/// Requests and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub requests: u64,
    pub errors: u64,
}

impl Tally {
    pub fn of(sample: &Sample) -> Self {
        Self { requests: sample.requests, errors: sample.errors_5xx.min(sample.requests) }
    }

    /// The share of the requests that failed.
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }
}

/// What a log-likelihood ratio means.
pub fn verdict(evidence: f64) -> Verdict {
    if evidence >= REJECT {
        Verdict::Failed
    } else if evidence <= ACCEPT {
        Verdict::Success
    } else {
        Verdict::Inconclusive
    }
}

/// Evidence that `points` more of 100 answers fail than of the stable release's: the logarithm of the likelihood ratio, above
/// 0 if it looks worse.
pub fn errors(new: Tally, stable: Tally, points: u64) -> f64 {
    let least = points as f64 / 100.0;
    let pooled = Tally { requests: new.requests + stable.requests, errors: new.errors + stable.errors };
    let as_good = likelihood(pooled, pooled.rate());
    let worse_by = |margin: f64| {
        let rate = stable_rate(new, stable, margin);
        likelihood(new, rate + margin) + likelihood(stable, rate) - as_good
    };
    let just_worse = worse_by(least);
    if just_worse <= 0.0 {
        return just_worse;
    }
    let margins = MULTIPLES.into_iter().map(|multiple| multiple * least);
    let evidence = margins.map(|margin| if margin < HIGHEST_MARGIN { worse_by(margin) } else { just_worse });
    mean_of_exponentials(evidence)
}

/// The logarithm of the mean of what these are the logarithms of.
fn mean_of_exponentials(logarithms: impl Iterator<Item = f64> + Clone) -> f64 {
    let (largest, count) = logarithms
        .clone()
        .fold((f64::NEG_INFINITY, 0.0), |(largest, count), one| (one.max(largest), count + 1.0));
    largest + (logarithms.map(|one| (one - largest).exp()).sum::<f64>() / count).ln()
}

/// The stable release's rate that fits both samples best if the new one's is higher by `margin`. The likelihood is
/// concave in it, so its slope has one zero.
fn stable_rate(new: Tally, stable: Tally, margin: f64) -> f64 {
    let slope = |rate: f64| {
        let part = |tally: Tally, rate: f64| {
            tally.errors as f64 / rate - (tally.requests - tally.errors) as f64 / (1.0 - rate)
        };
        part(new, rate + margin) + part(stable, rate)
    };
    let (mut low, mut high) = (SMALLEST_RATE, 1.0 - margin - SMALLEST_RATE);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    low
}

/// The logarithm of a binomial likelihood, without the part that is the same under every rate.
fn likelihood(tally: Tally, rate: f64) -> f64 {
    let rate = rate.clamp(SMALLEST_RATE, 1.0 - SMALLEST_RATE);
    let successes = (tally.requests - tally.errors) as f64;
    let failures = tally.errors as f64;
    failures * rate.ln() + successes * (-rate).ln_1p()
}

/// Evidence that more of the new release's answers are slow, of which `limit_ms` says when one is.
pub fn latency(new: &Sample, limit_ms: f64) -> f64 {
    let slow = new.requests as f64 * share_slower(new, limit_ms);
    let others = new.requests as f64 - slow;
    let as_good = (SLOW_IF_AS_GOOD, 1.0 - SLOW_IF_AS_GOOD);
    slow * (SLOW_IF_WORSE / as_good.0).ln() + others * ((1.0 - SLOW_IF_WORSE) / as_good.1).ln()
}

/// From when on an answer is slow: so many percent over the stable release's 95th percentile, and at least so many
/// milliseconds.
pub fn slow_from(stable: &Sample, percent: u64, ms: u64) -> f64 {
    let usual = stable.p95_ms.max(0.0);
    (usual * (1.0 + percent as f64 / 100.0)).max(usual + ms as f64)
}

/// The share of a sample's answers that took longer. Beyond its percentiles it is taken to be what it is at them.
fn share_slower(sample: &Sample, limit_ms: f64) -> f64 {
    let logarithm = |ms: f64| ms.max(SMALLEST_MS).ln();
    let at = [sample.p50_ms, sample.p95_ms, sample.p99_ms].map(logarithm);
    let limit = logarithm(limit_ms);
    let deviation = if limit >= at[2] {
        QUANTILES[2]
    } else if limit < at[0] {
        QUANTILES[0]
    } else {
        let below = usize::from(limit >= at[1]);
        let part = (limit - at[below]) / (at[below + 1] - at[below]);
        QUANTILES[below] + part * (QUANTILES[below + 1] - QUANTILES[below])
    };
    0.5 * libm::erfc(deviation / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors_of(new: (u64, u64), stable: (u64, u64)) -> Verdict {
        let tally = |(requests, errors)| Tally { requests, errors };
        verdict(errors(tally(new), tally(stable), 3))
    }

    fn sample(requests: u64, [p50_ms, p95_ms, p99_ms]: [f64; 3]) -> Sample {
        Sample { release: "r".into(), requests, errors_5xx: 0, p50_ms, p95_ms, p99_ms }
    }

    #[test]
    fn what_the_stable_release_fails_at_as_well_is_not_held_against_the_new_one() {
        assert_eq!(errors_of((2_000, 100), (18_000, 900)), Verdict::Success);
        assert_eq!(errors_of((600, 30), (5_400, 2)), Verdict::Failed);
        assert_eq!(errors_of((600, 600), (5_400, 5_400)), Verdict::Success);
    }

    #[test]
    fn a_few_requests_prove_nothing_in_either_direction() {
        assert_eq!(errors_of((0, 0), (0, 0)), Verdict::Inconclusive);
        assert_eq!(errors_of((100, 0), (900, 0)), Verdict::Inconclusive);
        assert_eq!(errors_of((20, 1), (180, 0)), Verdict::Inconclusive);
    }

    #[test]
    fn far_worse_is_seen_soon_even_if_little_is_known_of_the_stable_release() {
        assert_eq!(errors_of((300, 45), (200, 0)), Verdict::Failed);
        assert_eq!(errors_of((60, 12), (200, 0)), Verdict::Failed);
        assert_eq!(errors_of((300, 9), (200, 6)), Verdict::Inconclusive);
    }

    /// Of 4000 releases that are exactly as good, looked at after each ten requests, hardly one is taken for worse.
    #[test]
    fn looking_again_and_again_takes_hardly_a_good_release_for_a_worse_one() {
        let mut state = 7_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let mut failed = 0;
        for world in 0..4_000_u32 {
            let rate = [0.0, 0.01, 0.05, 0.2][(world % 4) as usize];
            let (mut new, mut stable) = (Tally::default(), Tally::default());
            for _ in 0..60 {
                for (tally, requests) in [(&mut new, 10), (&mut stable, 30)] {
                    tally.requests += requests;
                    tally.errors += (0..requests).filter(|_| random() < rate).count() as u64;
                }
                match verdict(errors(new, stable, 3)) {
                    Verdict::Inconclusive => {}
                    Verdict::Success => break,
                    Verdict::Failed => {
                        failed += 1;
                        break;
                    }
                }
            }
        }
        assert!(failed <= 8, "{failed} of 4000");
    }

    #[test]
    fn a_stable_release_without_samples_is_no_excuse_and_no_proof() {
        assert_eq!(errors_of((100, 50), (0, 0)), Verdict::Inconclusive);
        assert_eq!(errors_of((300, 0), (0, 0)), Verdict::Success);
    }

    #[test]
    fn twice_the_latency_is_worse_and_the_same_latency_is_not() {
        let stable = sample(2_000, [20.0, 60.0, 90.0]);
        let limit = slow_from(&stable, 25, 2);
        assert!((limit - 75.0).abs() < 1e-9);
        assert_eq!(verdict(latency(&sample(200, [20.0, 60.0, 90.0]), limit)), Verdict::Success);
        assert_eq!(verdict(latency(&sample(200, [40.0, 120.0, 180.0]), limit)), Verdict::Failed);
        assert_eq!(verdict(latency(&sample(300, [20.0, 120.0, 180.0]), limit)), Verdict::Failed);
        assert_eq!(verdict(latency(&sample(20, [40.0, 120.0, 180.0]), limit)), Verdict::Inconclusive);
    }

    #[test]
    fn a_few_milliseconds_of_a_very_fast_service_do_not_count() {
        let stable = sample(2_000, [0.2, 0.6, 0.9]);
        let limit = slow_from(&stable, 25, 2);
        assert_eq!(verdict(latency(&sample(300, [0.4, 1.2, 1.8]), limit)), Verdict::Success);
    }

    #[test]
    fn percentiles_that_coincide_or_are_no_numbers_do_not_break_it() {
        for percentiles in [[5.0, 5.0, 5.0], [0.0, 0.0, 0.0], [f64::NAN, f64::NAN, f64::NAN]] {
            let evidence = latency(&sample(100, percentiles), 5.0);
            assert!(evidence.is_finite(), "{percentiles:?}: {evidence}");
        }
    }

    #[test]
    fn the_share_of_slow_answers_is_exact_where_the_logarithms_are_normal() {
        // Logarithmic standard deviation 1, median 1 ms.
        let times = QUANTILES.map(f64::exp);
        let share = share_slower(&sample(1, times), 1.0_f64.exp());
        assert!((share - 0.158_655).abs() < 1e-4, "{share}");
    }
}
