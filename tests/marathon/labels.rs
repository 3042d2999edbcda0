//! Labels of marathon-lb as routes.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use serde_json::{Value, json};

use super::start;
use crate::support::{
    client::{exchange, status},
    eventually, free_ports,
    marathon::{Marathon, app, task},
    run,
    signpost::Signpost,
    upstream::Upstream,
};

const LABELS: &str = "[compat.marathon_lb]\ngroups = ['external']\nbind_addr = '127.0.0.1'\n";

/// What a port of this machine answers to a GET.
fn get(port: u16, path: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    let answer = exchange(([127, 0, 0, 1], port).into(), request.as_bytes());
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status(&answer), body.to_owned())
}

fn refusals(signpost: &Signpost) -> Vec<String> {
    let sources = signpost.get("/v1/sources").1;
    let refused = sources[0]["refusals"].as_array().unwrap();
    let line = |one: &Value| format!("{}: {}", one["path"], one["reason"]).replace('"', "");
    refused.iter().map(line).collect()
}

#[test]
fn an_app_is_reached_by_its_host_its_port_and_its_id() {
    let (web, api) = (Upstream::start("web"), Upstream::start("api"));
    let ports = free_ports(3);
    let marathon = Marathon::start();
    let labels = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "shop.example"});
    marathon.put(&app("/web", ports[0], labels, &[task("web.1", web.port())]));
    let ids = format!("{LABELS}app_id_listen = '127.0.0.1:{}'\n", ports[2]);
    let signpost = start(&marathon, &ids);
    eventually("the service port is listened on", || {
        signpost.listens("proxy listens").len() == 3
    });
    assert_eq!(signpost.curl("shop.example", "/"), (200, "web".to_owned()));
    assert_eq!(
        get(ports[0], "/x", "Host: any\r\n"),
        (200, "web".to_owned())
    );
    let id = "Host: any\r\nX-Marathon-App-Id: /web\r\n";
    assert_eq!(get(ports[2], "/", id), (200, "web".to_owned()));
    assert_eq!(get(ports[2], "/", "Host: shop.example\r\n").0, 503);

    // An app that comes has its routes and its listener at once, and loses both when it goes.
    let labels = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "shop.example",
        "HAPROXY_0_PATH": "/api", "HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL": "127.0.0.0/8"});
    marathon.put(&app("/api", ports[1], labels, &[task("api.1", api.port())]));
    let to = |path: &str| signpost.curl("shop.example", path);
    eventually("the path leads to the new app", || {
        to("/api/x") == (200, "api".to_owned())
    });
    assert_eq!(to("/x"), (200, "web".to_owned()));
    eventually("its port does", || {
        get(ports[1], "/", "Host: a\r\n") == (200, "api".to_owned())
    });
    marathon.remove("/api");
    eventually("the path leads to the old app", || {
        to("/api/x") == (200, "web".to_owned())
    });
    eventually("nobody listens", || {
        std::net::TcpStream::connect(("127.0.0.1", ports[1])).is_err()
    });
    // One without tasks is there, and has nobody to ask.
    marathon.change("/web", |app| app["tasks"] = json!([]));
    eventually("there is nobody", || to("/").0 == 503);
}

#[test]
fn a_host_asks_for_the_password_of_its_label_and_the_service_port_for_none() {
    let web = Upstream::start("web");
    let ports = free_ports(1);
    let marathon = Marathon::start();
    // Of the password `secret`.
    let auth = "the shop:ann:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
    let labels = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "shop.example",
        "HAPROXY_0_AUTH": auth});
    marathon.put(&app("/web", ports[0], labels, &[task("web.1", web.port())]));
    let signpost = start(&marathon, LABELS);
    let curl = |more: &[&str]| {
        let url = format!("http://{}/", signpost.proxy());
        let host = ["-s", "-i", "-H", "Host: shop.example"];
        run("curl", &[&host[..], more, &[&url]].concat())
    };
    eventually("the host asks for a password", || {
        curl(&[]).contains(" 401 ")
    });
    assert!(curl(&[]).contains("WWW-Authenticate: Basic realm=\"the shop\""));
    assert!(curl(&["-u", "ann:wrong"]).contains(" 401 "));
    assert!(curl(&["-u", "ann:secret"]).ends_with("\r\n\r\nweb"));
    assert_eq!(signpost.curl("web.marathon", "/").0, 404);
    eventually("the service port is open", || {
        get(ports[0], "/", "Host: any\r\n") == (200, "web".to_owned())
    });
    let explained = signpost.get("/v1/explain/route?host=shop.example&path=/").1;
    let (_, config) = signpost.get("/v1/config");
    for shown in [explained.to_string(), config.to_string(), signpost.log()] {
        assert!(!shown.contains("saltsalt"), "{shown}");
    }
}

#[test]
fn what_can_not_be_used_is_told_and_the_rest_works() {
    let web = Upstream::start("web");
    let ports = free_ports(2);
    let taken = std::net::TcpListener::bind(("127.0.0.1", ports[1])).unwrap();
    let marathon = Marathon::start();
    let labels = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "shop.example",
        "HAPROXY_0_BALANCE": "nonsense", "HAPROXY_0_BACKEND_HEAD": "backend {backend}",
        "HAPROXY_0_BIND_ADDR": "*"});
    let tasks = [task("web.1", web.port()), task("web.2", 0)];
    marathon.put(&app("/web", ports[0], labels, &tasks));
    let other = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "http"});
    marathon.put(&app("/other", ports[1], other, &[]));
    let tcp = json!({"HAPROXY_GROUP": "external"});
    marathon.put(&app("/tcp", 10_009, tcp, &[]));
    let signpost = start(&marathon, LABELS);
    eventually("all is told", || refusals(&signpost).len() == 5);
    let refused = refusals(&signpost);
    for (begin, reason) in [
        ("/web:web.2: ", "port 0"),
        ("/web HAPROXY_0_BALANCE: ", "`nonsense`"),
        ("/web HAPROXY_0_BACKEND_HEAD: ", "template"),
        ("/tcp HAPROXY_0_MODE: ", "TCP mode"),
        ("/other: ", "can't listen"),
    ] {
        let line = refused.iter().find(|line| line.starts_with(begin));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{begin} {refused:?}"
        );
    }
    assert_eq!(signpost.curl("shop.example", "/"), (200, "web".to_owned()));
    // Its name would lead past what labels say.
    assert_eq!(signpost.curl("web.app", "/").0, 404);
    assert_eq!(get(ports[0], "/", "Host: x\r\n"), (200, "web".to_owned()));
    assert_eq!(signpost.logged("can't be used for routes").len(), 3);
    drop(taken);
}

#[test]
fn service_ports_outlive_an_upgrade_and_a_reload() {
    let web = Upstream::start("web");
    let port = free_ports(1)[0];
    let marathon = Marathon::start();
    let labels = json!({"HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "http"});
    marathon.put(&app("/web", port, labels, &[task("web.1", web.port())]));
    let mut signpost = start(&marathon, LABELS);
    let answers = || get(port, "/", "Host: x\r\n") == (200, "web".to_owned());
    eventually("the port is listened on", || {
        signpost.listens("proxy listens").len() == 2
    });
    // Nobody is turned away meanwhile.
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !is_over.load(SeqCst) {
                assert!(answers(), "after {asked} requests");
                asked += 1;
            }
            asked
        });
        signpost.upgrade();
        signpost.verb(&["reload"]);
        signpost.upgrade();
        eventually("the last old process has ended", || {
            signpost.logged("drained, the process ends").len() == 2
        });
        is_over.store(true, SeqCst);
        assert!(asking.join().unwrap() > 0);
    });
    assert!(answers());
}
