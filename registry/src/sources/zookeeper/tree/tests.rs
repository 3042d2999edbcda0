use super::*;
use crate::testing;

pub(super) const DELAY: Duration = Duration::from_secs(1);

pub(super) fn tree() -> Tree {
    Tree::new(DELAY, 100)
}

/// A node that says `10.0.0.1:port`, created and modified in these transactions.
pub(super) fn node(path: &str, created: i64, modified: i64, port: u16) -> Node {
    let service = path.split('/').next().unwrap();
    Node {
        version: Version { created, modified },
        says: Ok(Entry::new(
            Key::new(path),
            service.parse().unwrap(),
            vec![testing::instance("i", "10.0.0.1", port)],
        )),
    }
}

fn refused(path: &str, created: i64, modified: i64) -> Node {
    let refusal = Refusal {
        key: Key::new(path),
        reason: "rubbish".to_owned(),
    };
    Node {
        version: Version { created, modified },
        says: Err(refusal),
    }
}

fn put(node: &Node) -> Option<Update> {
    Some(Update::Put(node.says.clone().unwrap()))
}

fn removed(path: &str) -> Vec<Update> {
    vec![Update::Remove(Key::new(path))]
}

/// What an event and the read that follows it lead to.
fn happens(tree: &mut Tree, path: &str, found: Option<Node>, now: Instant) -> Option<Update> {
    tree.mark(path);
    let marked = tree.next_read().unwrap();
    assert_eq!(&*marked, path);
    tree.read(&marked, found, now)
}

fn scan<T>(found: impl IntoIterator<Item = (&'static str, T)>) -> Scan<T> {
    let mut scan = Scan::new();
    scan.found = found
        .into_iter()
        .map(|(path, found)| (path.into(), found))
        .collect();
    scan
}

fn keys(update: &Update) -> (Vec<&str>, Vec<&str>) {
    let Update::Reset { entries, refused } = update else {
        panic!("{update:?} is no reset");
    };
    (
        entries.iter().map(|entry| entry.key.as_str()).collect(),
        refused.iter().map(|refusal| refusal.key.as_str()).collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn news_are_told_once() {
    let (mut tree, now) = (tree(), Instant::now());
    let first = node("web/a", 1, 1, 80);
    assert_eq!(
        happens(&mut tree, "web/a", Some(first.clone()), now),
        put(&first)
    );
    assert_eq!(happens(&mut tree, "web/a", Some(first), now), None);
    let touched = node("web/a", 1, 2, 80);
    assert_eq!(happens(&mut tree, "web/a", Some(touched), now), None);
    let changed = node("web/a", 1, 3, 81);
    assert_eq!(
        happens(&mut tree, "web/a", Some(changed.clone()), now),
        put(&changed)
    );
}

#[tokio::test(start_paused = true)]
async fn an_older_read_is_ignored() {
    let (mut tree, now) = (tree(), Instant::now());
    happens(&mut tree, "web/a", Some(node("web/a", 5, 9, 80)), now);
    assert_eq!(
        happens(&mut tree, "web/a", Some(node("web/a", 5, 8, 81)), now),
        None
    );
    assert_eq!(
        happens(&mut tree, "web/a", Some(node("web/a", 3, 4, 82)), now),
        None
    );
    let reset = tree.commit(
        scan([("web/a", node("web/a", 5, 7, 83))]),
        Key::new("/"),
        now,
    );
    let Update::Reset { entries, .. } = reset else {
        panic!("no reset");
    };
    assert_eq!(entries[0].instances[0].ports[0].number, 80);
}

#[tokio::test(start_paused = true)]
async fn what_has_vanished_is_removed_after_the_delay() {
    let (mut tree, now) = (tree(), Instant::now());
    happens(&mut tree, "web/a", Some(node("web/a", 1, 1, 80)), now);
    assert_eq!(happens(&mut tree, "web/a", None, now), None);
    assert_eq!(tree.next_deadline(), Some(now + DELAY));
    assert_eq!(tree.expire(now + DELAY / 2), []);
    // Hearing of it a second time puts nothing off.
    assert_eq!(happens(&mut tree, "web/a", None, now + DELAY / 2), None);
    assert_eq!(tree.expire(now + DELAY), removed("web/a"));
    assert_eq!(
        (tree.expire(now + DELAY), tree.next_deadline()),
        (vec![], None)
    );
}

#[tokio::test(start_paused = true)]
async fn delete_and_create_within_the_delay_is_one_put_at_most() {
    let (mut tree, now) = (tree(), Instant::now());
    happens(&mut tree, "web/a", Some(node("web/a", 1, 1, 80)), now);
    happens(&mut tree, "web/a", None, now);
    assert_eq!(
        happens(&mut tree, "web/a", Some(node("web/a", 3, 3, 80)), now),
        None
    );
    happens(&mut tree, "web/a", None, now);
    let moved = node("web/a", 5, 5, 81);
    assert_eq!(
        happens(&mut tree, "web/a", Some(moved.clone()), now),
        put(&moved)
    );
    assert_eq!(
        (tree.expire(now + DELAY * 9), tree.next_deadline()),
        (vec![], None)
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_before_a_newer_event_has_been_read() {
    let (mut tree, now) = (tree(), Instant::now());
    happens(&mut tree, "web/a", Some(node("web/a", 1, 1, 80)), now);
    happens(&mut tree, "web/a", None, now);
    tree.mark("web/a");
    assert_eq!(
        (tree.expire(now + DELAY), tree.next_deadline()),
        (vec![], None)
    );
    let path = tree.next_read().unwrap();
    assert_eq!(tree.expire(now + DELAY), []);
    tree.read(&path, None, now + DELAY);
    assert_eq!(tree.expire(now + DELAY), removed("web/a"));
}

#[tokio::test(start_paused = true)]
async fn an_event_during_a_read_leads_to_another_read() {
    let (mut tree, now) = (tree(), Instant::now());
    tree.mark("web/a");
    tree.mark("web/a");
    let path = tree.next_read().unwrap();
    assert_eq!(tree.next_read(), None);
    tree.mark("web/a");
    tree.mark("web/a");
    assert_eq!(tree.next_read(), None);
    tree.read(&path, None, now);
    assert_eq!(tree.next_read(), Some(path.clone()));
    tree.read(&path, None, now);
    assert_eq!(tree.next_read(), None);
}

#[tokio::test(start_paused = true)]
async fn reads_that_were_cut_off_are_done_again() {
    let mut tree = tree();
    tree.mark("web/a");
    tree.mark("web/b");
    let path = tree.next_read().unwrap();
    tree.mark(&path);
    tree.abandon_reads();
    let mut again: Vec<_> = std::iter::from_fn(|| tree.next_read()).collect();
    again.sort();
    assert_eq!(again, ["web/a".into(), "web/b".into()]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_keeps_what_vanished_until_its_delay_is_over() {
    let (mut tree, now) = (tree(), Instant::now());
    let all = [
        ("web", node("web", 1, 1, 1)),
        ("web/a", node("web/a", 2, 2, 80)),
        ("web/b", refused("web/b", 3, 3)),
    ];
    let reset = tree.commit(scan(all), Key::new("/"), now);
    assert_eq!(keys(&reset), (vec!["web", "web/a"], vec!["web/b"]));
    let reset = tree.commit(scan([("web", node("web", 1, 1, 1))]), Key::new("/"), now);
    assert_eq!(keys(&reset), (vec!["web", "web/a"], vec!["web/b"]));
    assert_eq!(tree.expire(now + DELAY).len(), 2);
    let reset = tree.commit(scan([]), Key::new("/"), now);
    assert_eq!(keys(&reset), (vec!["web"], vec![]));
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_a_reset_has_only_what_is_there() {
    let (mut tree, now) = (Tree::new(Duration::ZERO, 100), Instant::now());
    tree.commit(
        scan([("web/a", node("web/a", 2, 2, 80))]),
        Key::new("/"),
        now,
    );
    let reset = tree.commit(scan([]), Key::new("/"), now);
    assert_eq!(keys(&reset), (vec![], vec![]));
    assert_eq!(tree.next_deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_is_not_missed() {
    let (mut tree, now) = (tree(), Instant::now());
    let all = [
        ("web/a", node("web/a", 2, 2, 80)),
        ("db/a", node("db/a", 3, 3, 80)),
    ];
    tree.commit(scan(all), Key::new("/"), now);
    let mut partial = scan([]);
    partial.unlisted.insert("web".into());
    tree.commit(partial, Key::new("/"), now);
    assert_eq!(tree.expire(now + DELAY), removed("db/a"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_with_a_good_record() {
    let (mut tree, now) = (tree(), Instant::now());
    let good = node("web/a", 1, 1, 80);
    happens(&mut tree, "web/a", Some(good), now);
    let update = happens(&mut tree, "web/a", Some(refused("web/a", 1, 2)), now);
    assert!(matches!(update, Some(Update::Refuse(_))), "{update:?}");
    let good = node("web/a", 1, 3, 80);
    assert_eq!(
        happens(&mut tree, "web/a", Some(good.clone()), now),
        put(&good)
    );
}

#[tokio::test(start_paused = true)]
async fn a_comparison_finds_what_no_event_has_told() {
    let (mut tree, now) = (tree(), Instant::now());
    let all = [
        ("web/same", node("web/same", 1, 1, 80)),
        ("web/changed", node("web/changed", 2, 2, 80)),
        ("web/gone", node("web/gone", 3, 3, 80)),
        ("web/leaving", node("web/leaving", 4, 4, 80)),
        ("web/touched", node("web/touched", 5, 5, 80)),
        ("web/bad", refused("web/bad", 6, 6)),
    ];
    tree.commit(scan(all), Key::new("/"), now);
    happens(&mut tree, "web/leaving", None, now);
    tree.begin_comparison();
    happens(
        &mut tree,
        "web/touched",
        Some(node("web/touched", 5, 9, 81)),
        now,
    );
    let version = |created, modified| Version { created, modified };
    let drift = tree.compare(&scan([
        ("web/same", version(1, 1)),
        ("web/changed", version(2, 8)),
        ("web/touched", version(5, 5)),
        ("web/bad", version(6, 6)),
        ("web/new", version(7, 7)),
    ]));
    assert_eq!(drift, 3);
    let mut marked: Vec<_> = std::iter::from_fn(|| tree.next_read()).collect();
    marked.sort();
    let expected = ["web/bad", "web/changed", "web/gone", "web/new"];
    assert_eq!(marked, expected.map(Arc::from));
}

#[tokio::test(start_paused = true)]
async fn the_limit_leaves_out_what_is_too_much_and_says_so() {
    let (mut tree, now) = (Tree::new(DELAY, 1), Instant::now());
    let mut first = scan([("web/a", node("web/a", 1, 1, 80))]);
    first.left_out = 2;
    let reset = tree.commit(first, Key::new("/service"), now);
    assert_eq!(keys(&reset), (vec!["web/a"], vec!["/service"]));
    tree.mark("web/new");
    assert_eq!(tree.next_read(), None);
    tree.mark("web/a");
    assert_eq!(tree.next_read(), Some("web/a".into()));
}

#[test]
fn what_vanishes_between_two_runs_has_its_delay_and_older_versions_count_again() {
    let (mut tree, now) = (tree(), Instant::now());
    tree.commit(
        scan([
            ("web/a", node("web/a", 10, 10, 80)),
            ("web/b", node("web/b", 11, 11, 80)),
        ]),
        Key::new("/"),
        now,
    );
    tree.restart();
    // The next run finds one gone, and the other in an ensemble that counts from the beginning again.
    let reset = tree.commit(
        scan([("web/a", node("web/a", 1, 1, 81))]),
        Key::new("/"),
        now,
    );
    let Update::Reset { entries, .. } = &reset else {
        panic!("{reset:?}");
    };
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].instances[0].ports[0].number, 81);
    assert_eq!(tree.expire(now + DELAY), removed("web/b"));
}
