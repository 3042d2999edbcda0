//! A day of a cluster: whatever happens, names and requests follow, and no request is lost.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::world::{World, get};
use crate::support::eventually;

#[test]
fn a_day_of_a_cluster_loses_no_request() {
    let Some(mut world) = World::start() else {
        return;
    };
    world.run("first", 10);
    world.check("the app starts");

    let proxy = world.signpost.proxy();
    let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = |host: &str| {
        while !is_over.load(SeqCst) {
            let answer = get(proxy, host);
            assert!(!answer.starts_with("failed"), "{answer}");
            asked.fetch_add(1, SeqCst);
        }
    };
    thread::scope(|scope| {
        let clients = ["web.example", "rule.example"].map(|host| scope.spawn(move || ask(host)));
        let morning = || {
            eventually("clients ask meanwhile", || {
                asked.swap(0, SeqCst) > 0 || clients.iter().any(|one| one.is_finished())
            });
        };
        live(&mut world, &morning);
        is_over.store(true, SeqCst);
        for client in clients {
            client.join().expect("no request fails");
        }
    });
}

/// Lives through the day; `meanwhile` waits until clients have asked.
fn live(world: &mut World, meanwhile: &dyn Fn()) {
    world.run("second", 11);
    world.run("third", 12);
    world.check("it is scaled");
    meanwhile();

    for (new, agent, old) in [
        ("first-2", 12, "first"),
        ("second-2", 10, "second"),
        ("third-2", 11, "third"),
    ] {
        world.run(new, agent);
        world.kill(old);
        meanwhile();
    }
    world.check("it is deployed anew");

    world.fail("second-2", "TASK_FAILED");
    world.check("a task fails");
    meanwhile();
    world.run("second-3", 10);
    world.check("and is replaced");

    world.lose_agent(11);
    world.check("an agent is lost");
    meanwhile();
    world.run("third-3", 12);
    world.check("what ran there runs elsewhere");

    world.fail_over_master();
    world.check("another master leads");
    world.run("fourth", 10);
    world.check("and tells what starts");
    meanwhile();

    world.fail_over_marathon();
    world.check("another Marathon leads");
    world.run("fifth", 12);
    world.check("and tells what starts");
    meanwhile();

    world.ensemble.kill_all();
    world.check("ZooKeeper is away");
    world.kill("fourth");
    world.check("and what ends is known all the same");
    meanwhile();

    world.lose_all_leaders();
    eventually("all sources are stale", || {
        let sources = world.signpost.get("/v1/sources").1;
        let mut sources = sources.as_array().unwrap().iter();
        sources.all(|source| !source["stale_since"].is_null())
    });
    world.check("everything is away, and all is as it was");
    meanwhile();
}
