use std::time::Duration;

use serde_json::{Value, json, value::to_raw_value};

use super::*;

fn making() -> Making {
    Making {
        source: "test".into(),
        suffix: "app".parse().unwrap(),
        weight: 1,
    }
}

fn app(id: &str, tasks: &[Value], more: Value) -> Box<RawValue> {
    let mut app = json!({"id": id, "instances": tasks.len(), "tasks": tasks, "ports": [10001, 10002],
        "portDefinitions": [{"port": 10001, "name": "http"}, {"port": 10002}]});
    let fields = app.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    to_raw_value(&app).unwrap()
}

fn task(id: &str, more: Value) -> Value {
    let mut task = json!({"id": id, "host": "10.0.0.1", "ports": [31001, 31002],
        "state": "TASK_RUNNING", "startedAt": "2016-01-01T00:00:00Z"});
    let fields = task.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    task
}

/// What updates say, each in a line.
fn lines(updates: &[Update]) -> Vec<String> {
    let line = |update: &Update| match update {
        Update::Put(entry) => {
            let instances = entry.instances.iter();
            let instances = instances.map(|one| {
                let ports = one.ports.iter().map(|port| port.number.to_string());
                let ports = ports.collect::<Vec<_>>().join(",");
                format!(" {}:{ports} {}", one.addresses[0], one.state)
            });
            let instances: String = instances.collect();
            format!("{} = {}{instances}", entry.key, entry.service.as_str())
        }
        Update::Refuse(refusal) => format!("{}: {}", refusal.key, refusal.reason),
        Update::Remove(key) => format!("-{key}"),
        Update::Reset { .. } => "reset".to_owned(),
    };
    updates.iter().map(line).collect()
}

fn take(apps: &mut Apps, raw: &RawValue) -> Vec<String> {
    lines(&apps.take(raw, &making(), SystemTime::now()))
}

fn replace(apps: &mut Apps, all: &[Box<RawValue>]) -> Vec<String> {
    lines(&apps.replace(all, &making(), SystemTime::now()))
}

#[test]
fn an_app_is_a_service_for_each_port_and_its_tasks_are_instances() {
    let mut apps = Apps::default();
    let one = app("/group/web", &[task("web.1", json!({}))], json!({}));
    assert_eq!(
        take(&mut apps, &one),
        [
            "/group/web = web.group.app",
            "/group/web#1 = port1.web.group.app",
            "/group/web:web.1 = web.group.app 10.0.0.1:31001,31002 up",
            "/group/web:web.1#1 = port1.web.group.app 10.0.0.1:31002 up",
        ]
    );
    assert_eq!(take(&mut apps, &one), [""; 0]);
    let killing = task("web.1", json!({"state": "TASK_KILLING"}));
    let more = [killing, task("web.2", json!({"host": "10.0.0.2"}))];
    assert_eq!(
        take(&mut apps, &app("/group/web", &more, json!({}))),
        [
            "/group/web:web.1 = web.group.app 10.0.0.1:31001,31002 draining",
            "/group/web:web.1#1 = port1.web.group.app 10.0.0.1:31002 draining",
            "/group/web:web.2 = web.group.app 10.0.0.2:31001,31002 up",
            "/group/web:web.2#1 = port1.web.group.app 10.0.0.2:31002 up",
        ]
    );
    assert_eq!(
        lines(&apps.remove("/group/web", &making())),
        [
            "-/group/web",
            "-/group/web#1",
            "-/group/web:web.1",
            "-/group/web:web.1#1",
            "-/group/web:web.2",
            "-/group/web:web.2#1",
        ]
    );
}

#[test]
fn what_can_not_be_read_is_refused_alone_and_takes_nothing_away() {
    let mut apps = Apps::default();
    let tasks = [
        task("a", json!({"ports": [0]})),
        task("b", json!({"host": "no host"})),
        task("c", json!({"host": null})),
        task("d", json!({"ports": "many"})),
        json!({"host": "x"}),
        task("e", json!({})),
    ];
    let one_port = json!({"portDefinitions": [{"port": 10001}]});
    let all = [
        app("/web", &tasks, one_port.clone()),
        app("/bad", &[], json!({"portDefinitions": [{"port": 70000}]})),
        to_raw_value(&json!({"id": "/half", "labels": 7})).unwrap(),
        to_raw_value(&json!(7)).unwrap(),
    ];
    let told = replace(&mut apps, &all);
    let of = |key: &str| told.iter().find(|line| line.starts_with(key)).unwrap();
    assert!(of("/web:a").contains("port 0"));
    assert!(of("/web:b").contains("`no host`"));
    assert!(of("/web:c").contains("it has no host"));
    assert!(of("/web:d").contains("invalid type"));
    assert!(of("/web:?").contains("missing field `id`"));
    assert!(of("/web:e").contains("up"));
    assert!(of("/bad").contains("70000"));
    assert!(of("/half").contains("invalid type"));
    assert!(of("?: ").contains("invalid type"));
    // What it was stays, until it is gone.
    let unreadable = to_raw_value(&json!({"id": "/web", "labels": 7})).unwrap();
    let told = take(&mut apps, &unreadable);
    assert!(
        told.len() == 1 && told[0].starts_with("/web: invalid"),
        "{told:?}"
    );
    let bad = app("/web", &tasks, json!({"portDefinitions": [{"port": -1}]}));
    let told = take(&mut apps, &bad);
    assert!(told.len() == 1 && told[0].contains("port -1"), "{told:?}");
    let Update::Reset { entries, refused } = apps.reset() else {
        unreachable!();
    };
    assert_eq!((entries.len(), refused.len()), (1, 9));
    assert_eq!(
        replace(&mut apps, &[app("/web", &tasks[5..], one_port)]).len(),
        9
    );
}

#[test]
fn two_apps_can_not_have_one_service() {
    let mut apps = Apps::default();
    let tasks = [task("t", json!({}))];
    let all = [
        app("/a.b", &tasks, json!({})),
        app("/a-b", &tasks, json!({})),
    ];
    let told = replace(&mut apps, &all);
    let last = told.last().unwrap();
    assert_eq!(last, "/a.b: its service `a-b.app` is that of /a-b");
    // It gets the name when that is free.
    let told = replace(&mut apps, &all[..1]);
    assert!(told.contains(&"/a.b = a-b.app".to_owned()), "{told:?}");
}

#[test]
fn a_task_on_a_lost_agent_is_down_unless_all_are() {
    let mut apps = Apps::default();
    let lost = || task("a", json!({"state": "TASK_UNREACHABLE"}));
    let states = |told: &[String]| {
        let told = told
            .iter()
            .filter(|line| line.contains(":a =") || line.contains(":b ="));
        let state = |line: &String| line.rsplit(' ').next().unwrap().to_owned();
        told.map(state).collect::<Vec<_>>()
    };
    let both = [lost(), task("b", json!({}))];
    let told = take(&mut apps, &app("/web", &both, json!({})));
    assert_eq!(states(&told), ["down", "up"]);
    let told = take(&mut apps, &app("/web", &[lost()], json!({})));
    assert_eq!(states(&told), ["up"]);
}

#[test]
fn what_health_was_is_kept_while_nothing_is_known() {
    let mut apps = Apps::default();
    let checked = |results: Value| {
        let young = humantime::format_rfc3339(SystemTime::now() - Duration::from_secs(5));
        let one = task(
            "t",
            json!({"healthCheckResults": results, "startedAt": young.to_string()}),
        );
        app(
            "/web",
            &[one],
            json!({"healthChecks": [{"protocol": "HTTP"}]}),
        )
    };
    let well = checked(json!([{"alive": true, "lastSuccess": "x"}]));
    assert!(take(&mut apps, &well)[2].ends_with("up"));
    let nothing = [""; 0];
    for missing in [json!([]), json!(null), json!([{"alive": false}])] {
        assert_eq!(take(&mut apps, &checked(missing)), nothing);
    }
    assert_eq!(apps.next_due(), None);
    let told = replace(&mut Apps::default(), &[checked(json!([]))]);
    assert!(told[2].ends_with("starting"), "{told:?}");
}

/// The two colours that marathon-lb's own test has: four of eight tasks are drained.
#[test]
fn two_colours_are_one_service_of_which_the_older_drains() {
    let mut apps = Apps::default();
    let colour = |id: &str, started: &str, tasks: &[&str]| {
        let tasks: Vec<_> = tasks.iter().map(|id| task(id, json!({}))).collect();
        let labels = json!({"labels": {"HAPROXY_DEPLOYMENT_GROUP": "nginx", "color": id,
            "HAPROXY_DEPLOYMENT_STARTED_AT": started, "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": "3"},
            "portDefinitions": [{"port": 10000}]});
        app(id, &tasks, labels)
    };
    let old = colour("/nginx-blue", "2016-02-01T14:13:42Z", &["b2", "b1", "b3"]);
    let told = take(&mut apps, &old);
    let of_group = |told: &[String]| {
        let lines = told
            .iter()
            .filter_map(|line| line.strip_prefix("deployment group "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of_group(&told)[0], "/nginx = nginx.app");
    assert_eq!(
        of_group(&told)[1],
        "/nginx:b1 = nginx.app 10.0.0.1:31001,31002 up"
    );
    let Some(Update::Put(entry)) = apps.told[&Thing::Colours("/nginx".into())].values().next()
    else {
        unreachable!();
    };
    let together = entry.about.app.as_ref().unwrap();
    assert_eq!(&*together.id, "/nginx");
    let told = take(
        &mut apps,
        &colour("/nginx-green", "2016-02-01T15:51:38Z", &["g1", "g2"]),
    );
    assert_eq!(
        of_group(&told)[1..],
        [
            "/nginx:b1 = nginx.app 10.0.0.1:31001,31002 draining",
            "/nginx:b2 = nginx.app 10.0.0.1:31001,31002 draining",
            "/nginx:g1 = nginx.app 10.0.0.1:31001,31002 up",
            "/nginx:g2 = nginx.app 10.0.0.1:31001,31002 up",
        ]
    );
    let told = lines(&apps.remove("/nginx-blue", &making()));
    assert_eq!(of_group(&told), ["/nginx = nginx.app"]);
    assert_eq!(
        told.iter()
            .filter(|line| line.starts_with("-deployment group /nginx:b"))
            .count(),
        3
    );
    let Update::Reset { entries, .. } = apps.reset() else {
        unreachable!();
    };
    let own = entries
        .iter()
        .find(|one| one.key.as_str() == "/nginx-green")
        .unwrap();
    let own = own.about.app.as_ref().unwrap();
    assert_eq!(own.together, Some("nginx.app".parse().unwrap()));
}

#[test]
fn a_deployment_is_about_the_apps_that_have_it() {
    let mut apps = Apps::default();
    let deployed = json!({"deployments": [{"id": "d1"}], "readinessChecks": [{}]});
    let young = task("t", json!({"startedAt": null}));
    let all = [app("/a", &[young], deployed), app("/b", &[], json!({}))];
    replace(&mut apps, &all);
    let of = |id: &str| apps.deployed_by(id).map(|id| &**id).collect::<Vec<_>>();
    assert_eq!((of("d1"), of("d2")), (vec!["/a"], vec![]));
    let soon = SystemTime::now() + Duration::from_secs(2);
    assert!(apps.next_due().is_some_and(|at| at < soon));
    assert_eq!(apps.take_due(soon), ["/a".into()]);
    assert_eq!(apps.next_due(), None);
}

/// The states of a group's tasks, each after its id.
fn states_of_group(apps: &Apps) -> Vec<String> {
    let Update::Reset { entries, .. } = apps.reset() else {
        unreachable!();
    };
    let instances = entries
        .iter()
        .filter(|one| one.key.as_str().starts_with("deployment"));
    let instances = instances.flat_map(|one| &one.instances);
    instances
        .map(|one| format!("{} {}", one.id.as_str(), one.state))
        .collect()
}

fn colour(id: &str, tasks: &[Value], target: &str) -> Box<RawValue> {
    let labels = json!({"labels": {"HAPROXY_DEPLOYMENT_GROUP": "web",
        "HAPROXY_DEPLOYMENT_STARTED_AT": match id { "/web-new" => "2016-02-01T00:00:00Z", _ => "2016-01-01T00:00:00Z" },
        "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": target}, "portDefinitions": [{"port": 10000}]});
    app(id, tasks, labels)
}

#[test]
fn a_new_colour_that_is_lost_takes_nobody_from_the_old_one() {
    let mut apps = Apps::default();
    take(&mut apps, &colour("/web-old", &[task("a", json!({}))], "1"));
    let lost = task("b", json!({"state": "TASK_UNREACHABLE"}));
    take(&mut apps, &colour("/web-new", &[lost], "1"));
    assert_eq!(states_of_group(&apps), ["a up", "b down"]);
    let gone = task("a", json!({"state": "TASK_UNREACHABLE"}));
    take(&mut apps, &colour("/web-old", &[gone], "1"));
    assert_eq!(states_of_group(&apps), ["a up", "b up"]);
}

#[test]
fn a_colour_may_be_called_as_its_group_and_labels_of_nonsense_drain_nobody() {
    let mut apps = Apps::default();
    let one = [task("a", json!({}))];
    replace(
        &mut apps,
        &[
            colour("/web", &one, "1"),
            colour("/web-new", &[task("b", json!({}))], "many"),
        ],
    );
    assert_eq!(states_of_group(&apps), ["a up", "b up"]);
    let Update::Reset { entries, refused } = apps.reset() else {
        unreachable!();
    };
    assert!(refused[0].reason.contains("`many`"), "{refused:?}");
    let keys: Vec<_> = entries.iter().map(|one| one.key.as_str()).collect();
    assert!(
        !keys.contains(&"/web") && keys.contains(&"/web-new"),
        "{keys:?}"
    );
    // When it has gone, its tasks have.
    let new = colour("/web-new", &[task("b", json!({}))], "1");
    replace(&mut apps, &[new]);
    assert_eq!(states_of_group(&apps), ["b up"]);
    // An app that is there already keeps its name, and a group without one takes no routes away.
    let mut apps = Apps::default();
    take(&mut apps, &app("/web", &one, json!({})));
    take(&mut apps, &colour("/web-new", &one, "1"));
    let Update::Reset { entries, .. } = apps.reset() else {
        unreachable!();
    };
    let new = entries
        .iter()
        .find(|one| one.key.as_str() == "/web-new")
        .unwrap();
    assert_eq!(new.about.app.as_ref().unwrap().together, None);
    // It is told as soon as the name is free.
    apps.remove("/web", &making());
    let Update::Reset { entries, .. } = apps.reset() else {
        unreachable!();
    };
    let new = entries
        .iter()
        .find(|one| one.key.as_str() == "/web-new")
        .unwrap();
    assert_eq!(
        new.about.app.as_ref().unwrap().together,
        Some("web.app".parse().unwrap())
    );
}

#[test]
fn a_port_whose_name_is_taken_is_refused_alone_until_it_is_free() {
    let mut apps = Apps::default();
    let other = app(
        "/web/port1",
        &[],
        json!({"portDefinitions": [], "ports": []}),
    );
    let web = app("/web", &[task("t", json!({}))], json!({}));
    replace(&mut apps, &[other]);
    assert_eq!(
        take(&mut apps, &web),
        [
            "/web = web.app",
            "/web#1: its service `port1.web.app` is that of /web/port1",
            "/web:t = web.app 10.0.0.1:31001,31002 up",
        ]
    );
    let told = lines(&apps.remove("/web/port1", &making()));
    assert_eq!(
        told,
        [
            "-/web/port1",
            "/web#1 = port1.web.app",
            "/web:t#1 = port1.web.app 10.0.0.1:31002 up"
        ]
    );
    // And the other way around, when the app has one port less.
    let other = app(
        "/web/port1",
        &[],
        json!({"portDefinitions": [], "ports": []}),
    );
    assert!(take(&mut apps, &other)[0].contains("is that of /web"));
    let one_port = app(
        "/web",
        &[task("t", json!({}))],
        json!({"portDefinitions": [{"port": 1}]}),
    );
    let told = take(&mut apps, &one_port);
    assert!(
        told.contains(&"/web/port1 = port1.web.app".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_task_that_is_refused_stays_at_all_its_ports() {
    let mut apps = Apps::default();
    take(&mut apps, &app("/web", &[task("t", json!({}))], json!({})));
    let bad = app("/web", &[task("t", json!({"host": "no host"}))], json!({}));
    let told = take(&mut apps, &bad);
    assert_eq!(told.len(), 2);
    assert!(
        told[0].starts_with("/web:t: ") && told[1].starts_with("/web:t#1: "),
        "{told:?}"
    );
}

#[test]
fn an_app_that_can_not_be_read_any_more_is_not_asked_for_again_and_again() {
    let mut apps = Apps::default();
    let deployed = json!({"deployments": [{"id": "d"}], "readinessChecks": [{}]});
    take(
        &mut apps,
        &app("/web", &[task("t", json!({"startedAt": null}))], deployed),
    );
    assert!(apps.next_due().is_some());
    take(
        &mut apps,
        &to_raw_value(&json!({"id": "/web", "labels": 7})).unwrap(),
    );
    assert_eq!(apps.next_due(), None);
}
