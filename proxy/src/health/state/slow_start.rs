//! How much of its weight an instance has that has just come.

use std::time::Duration;

use registry::Observation;

/// In how many steps it gets all of it: each is a change for DNS and routes.
const STEPS: u128 = 10;

/// The share with which it begins, in percent.
const SHARE_FIRST: u8 = 10;

/// Returns the share that an instance has after so long, in percent.
pub(super) fn share(elapsed: Duration, length: Duration) -> u8 {
    if elapsed >= length {
        return Observation::SHARE_WHOLE;
    }
    let step = elapsed.as_nanos() * STEPS / length.as_nanos().max(1);
    let share = step * u128::from(Observation::SHARE_WHOLE) / STEPS;
    u8::try_from(share).map_or(Observation::SHARE_WHOLE, |share| share.max(SHARE_FIRST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_in_ten_steps() {
        let length = Duration::from_secs(30);
        let shares: Vec<u8> = (0..=30)
            .map(|seconds| share(Duration::from_secs(seconds), length))
            .collect();
        assert_eq!((shares[0], shares[2], shares[6]), (10, 10, 20));
        assert_eq!((shares[29], shares[30]), (90, 100));
        assert!(shares.is_sorted());
        assert_eq!(share(Duration::ZERO, Duration::ZERO), 100);
    }
}
