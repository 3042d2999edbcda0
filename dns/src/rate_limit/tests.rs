use std::hash::{BuildHasherDefault, DefaultHasher};

use proptest::prelude::*;

use super::*;

type Seed = BuildHasherDefault<DefaultHasher>;

const CLIENT: &str = "192.0.2.1";

fn limiter(config: &str) -> Limiter<Seed> {
    let config: RateLimitConfig = toml::from_str(config).unwrap();
    Limiter::new(&config, Seed::default()).unwrap()
}

fn check(limiter: &mut Limiter<Seed>, client: &str, millis: u64) -> Verdict {
    limiter.check(
        client.parse().unwrap(),
        false,
        Duration::from_millis(millis),
    )
}

/// How many of so many answers at once are sent, slipped and dropped.
fn flood(limiter: &mut Limiter<Seed>, client: &str, millis: u64, count: usize) -> [usize; 3] {
    let mut verdicts = [0; 3];
    for _ in 0..count {
        verdicts[check(limiter, client, millis) as usize] += 1;
    }
    verdicts
}

#[test]
fn without_a_rate_there_is_no_limit() {
    let config = RateLimitConfig::default();
    assert!(Limiter::new(&config, Seed::default()).is_none());
}

#[test]
fn after_the_burst_answers_come_at_the_rate() {
    let mut limiter = limiter("responses_per_second = 10\nburst = '2s'\nslip = 0");
    assert_eq!(flood(&mut limiter, CLIENT, 0, 100), [20, 0, 80]);
    assert_eq!(flood(&mut limiter, CLIENT, 99, 100), [0, 0, 100]);
    assert_eq!(flood(&mut limiter, CLIENT, 100, 100), [1, 0, 99]);
    assert_eq!(flood(&mut limiter, CLIENT, 1100, 100), [10, 0, 90]);
    // However long it is quiet, no more is saved up than the burst.
    assert_eq!(flood(&mut limiter, CLIENT, 1_000_000, 100), [20, 0, 80]);
}

#[test]
fn of_what_is_over_the_limit_every_so_many_slip() {
    for (slip, expected) in [
        (0, [1, 0, 12]),
        (1, [1, 12, 0]),
        (2, [1, 6, 6]),
        (5, [1, 2, 10]),
    ] {
        let mut limiter = limiter(&format!(
            "responses_per_second = 1\nburst = '1s'\nslip = {slip}"
        ));
        assert_eq!(flood(&mut limiter, CLIENT, 0, 13), expected, "{slip}");
    }
}

#[test]
fn a_network_is_what_the_prefix_says_and_none_has_to_do_with_another() {
    let mut limiter = limiter("responses_per_second = 1\nburst = '1s'\nslip = 0\nipv6_prefix = 64");
    for (client, verdict) in [
        ("192.0.2.1", Verdict::Send),
        ("192.0.2.255", Verdict::Drop),
        ("::ffff:192.0.2.7", Verdict::Drop),
        ("192.0.3.1", Verdict::Send),
        ("2001:db8::1", Verdict::Send),
        ("2001:db8::ffff:0:0:1", Verdict::Drop),
        ("2001:db8:0:1::1", Verdict::Send),
        // The same bits as those of 192.0.2.0/24.
        ("0:0:c0:2::", Verdict::Send),
    ] {
        assert_eq!(check(&mut limiter, client, 0), verdict, "{client}");
    }
}

#[test]
fn a_prefix_may_be_a_whole_address_or_a_bit() {
    let mut whole = limiter(
        "responses_per_second = 1\nburst = '1s'\nslip = 0\nipv4_prefix = 32\nipv6_prefix = 128",
    );
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"] {
        assert_eq!(check(&mut whole, client, 0), Verdict::Send);
        assert_eq!(check(&mut whole, client, 0), Verdict::Drop);
    }
    let mut bit = limiter(
        "responses_per_second = 1\nburst = '1s'\nslip = 0\nipv4_prefix = 1\nipv6_prefix = 1",
    );
    for client in ["10.0.0.1", "192.0.2.2", "2001:db8::1", "ff02::1"] {
        assert_eq!(check(&mut bit, client, 0), Verdict::Send, "{client}");
    }
    assert_eq!(check(&mut bit, "127.0.0.1", 0), Verdict::Drop);
}

#[test]
fn trusted_and_listed_clients_have_no_limit_and_use_up_nothing() {
    let mut limiter = limiter(
        "responses_per_second = 1\nburst = '1s'\nslip = 0\nexempt = ['192.0.2.8/29', '2001:db8::/32']",
    );
    for _ in 0..10 {
        for client in ["192.0.2.8", "192.0.2.15", "::ffff:192.0.2.9", "2001:db8::1"] {
            assert_eq!(check(&mut limiter, client, 0), Verdict::Send);
        }
        let trusted = limiter.check(CLIENT.parse().unwrap(), true, Duration::ZERO);
        assert_eq!(trusted, Verdict::Send);
    }
    assert_eq!(flood(&mut limiter, CLIENT, 0, 2), [1, 0, 1]);
}

#[test]
fn a_full_table_still_limits_who_floods() {
    let mut limiter =
        limiter("responses_per_second = 5\nburst = '1s'\nslip = 0\nprefixes_max = 64");
    flood(&mut limiter, CLIENT, 0, 1000);
    // A hundred times as many networks as have room ask once each.
    for n in 0..6400_u16 {
        let [high, low] = n.to_be_bytes();
        check(&mut limiter, &format!("10.{high}.{low}.1"), 1);
    }
    assert_eq!(flood(&mut limiter, CLIENT, 2, 1000), [0, 0, 1000]);
}

proptest! {
    /// In no stretch of time does a network get more than its rate and its burst, and what it gets
    /// has nothing to do with what another one asks for.
    #[test]
    fn no_window_has_more_than_the_rate_and_the_burst(
        rate in 1..2000_u32,
        burst in 1..5_u64,
        steps in prop::collection::vec((0..3000_u64, 1..400_usize), 1..40),
    ) {
        let text = format!("responses_per_second = {rate}\nburst = '{burst}s'");
        let (mut alone, mut beside) = (limiter(&text), limiter(&text));
        let mut sent = Vec::new();
        let mut millis = 0;
        for (step, count) in steps {
            millis += step;
            let mut count_sent = 0;
            for _ in 0..count {
                check(&mut beside, "198.51.100.1", millis);
                let verdict = check(&mut alone, CLIENT, millis);
                prop_assert_eq!(check(&mut beside, CLIENT, millis), verdict);
                count_sent += u64::from(verdict == Verdict::Send);
            }
            sent.push((millis, count_sent));
        }
        for (first, (from, _)) in sent.iter().enumerate() {
            let mut answers = 0;
            for (to, count) in &sent[first..] {
                answers += count;
                let allowed = u64::from(rate) * (burst * 1000 + to - from) / 1000;
                prop_assert!(answers <= allowed, "{} in {} ms", answers, to - from);
            }
        }
    }

    /// Who stays below the rate gets every answer.
    #[test]
    fn who_asks_seldom_enough_is_never_limited(rate in 1..1000_u32, count in 1..200_u64) {
        let mut limiter = limiter(&format!("responses_per_second = {rate}\nburst = '1s'"));
        let pause = 1000_u64.div_ceil(u64::from(rate));
        for n in 0..count {
            prop_assert_eq!(check(&mut limiter, CLIENT, n * pause), Verdict::Send);
        }
    }
}
