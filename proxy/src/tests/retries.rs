//! When an instance fails.

use std::{sync::mpsc::channel, time::Duration};

use socket2::SockRef;

use super::*;

const POST: &str = "POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello";

fn answer_to(proxy: &Proxy, request: &str) -> (String, String) {
    let mut client = proxy.client();
    client.send(request);
    client.answer()
}

/// An origin that reads so much of each request and closes.
fn closing() -> Origin {
    Origin::start(|peer, _| {
        peer.head();
    })
}

/// An origin that answers requests with a body of five bytes.
fn taking() -> Origin {
    Origin::start(|peer, _| {
        while peer.next_head().is_some() {
            assert_eq!(peer.text(5), "hello");
            peer.send(OK);
        }
    })
}

#[test]
fn a_refused_connection_is_tried_elsewhere_with_its_body() {
    let origin = taking();
    let proxy = Proxy::start("balancer = \"round_robin\"", &[nobody(), origin.address]);
    for _ in 0..6 {
        assert_eq!(answer_to(&proxy, POST).1, "ok");
    }
}

#[test]
fn an_instance_is_asked_at_the_address_where_it_is() {
    let origin = Origin::answering(OK);
    let port = origin.address.port();
    // Nobody listens at the first one.
    let mut instance = testing::instance("i1", "127.0.0.77", port);
    instance.addresses.push(origin.address.ip());
    let service = testing::service_of("web", [instance]);
    let config = "retries = { attempts = 1 }";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, [service]));
    assert_eq!(answer_to(&proxy, GET).1, "ok");
}

#[test]
fn when_all_refuse_the_client_is_told_so() {
    let proxy = Proxy::start("", &[nobody(), nobody()]);
    let (head, body) = answer_to(&proxy, GET);
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(body.contains("\"upstream_refused\""), "{body}");
    // A request with its body read leaves the connection in order.
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(POST);
        assert!(client.answer().0.starts_with("HTTP/1.1 502 "));
    }
}

#[test]
fn what_may_be_repeated_is_repeated_after_a_close_without_an_answer() {
    let (closing, good) = (closing(), Origin::answering(OK));
    let config = "balancer = \"round_robin\"";
    let proxy = Proxy::start(config, &[closing.address, good.address]);
    for _ in 0..4 {
        assert_eq!(answer_to(&proxy, GET).1, "ok");
    }
    assert!(closing.connections() > 0);
}

#[test]
fn what_may_not_be_repeated_is_not() {
    let (first, second) = (closing(), closing());
    let proxy = Proxy::start("", &[first.address, second.address]);
    let (head, body) = answer_to(&proxy, POST);
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(body.contains("\"upstream_reset\""), "{body}");
    assert_eq!(first.connections() + second.connections(), 1);
}

#[test]
fn a_started_answer_is_never_asked_for_again() {
    let origins = [(); 2].map(|()| {
        Origin::start(|peer, _| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\n");
        })
    });
    let proxy = Proxy::start("", &[origins[0].address, origins[1].address]);
    let (head, _) = answer_to(&proxy, GET);
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(origins[0].connections() + origins[1].connections(), 1);
}

#[test]
fn an_interim_answer_counts_as_a_started_one() {
    let origins = [(); 2].map(|()| {
        Origin::start(|peer, _| {
            peer.head();
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        })
    });
    let proxy = Proxy::start("", &[origins[0].address, origins[1].address]);
    let mut client = proxy.client();
    client.send(GET);
    assert!(client.head().starts_with("HTTP/1.1 103 "));
    assert!(client.head().starts_with("HTTP/1.1 502 "));
    assert_eq!(origins[0].connections() + origins[1].connections(), 1);
}

#[test]
fn after_an_interim_answer_nobody_else_is_asked() {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let config = "retries = { per_try = \"50ms\", statuses = [503] }";
    for (more, status) in [("", "504"), (FAILING, "503")] {
        let origins = [(); 2].map(|()| {
            Origin::start(move |peer, _| {
                peer.head();
                peer.send(format!("{HINTS}{more}"));
                peer.rest();
            })
        });
        let proxy = Proxy::start(config, &[origins[0].address, origins[1].address]);
        let mut client = proxy.client();
        client.send(GET);
        assert_eq!(client.head(), HINTS);
        let (head, _) = client.answer();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(origins[0].connections() + origins[1].connections(), 1);
    }
}

#[test]
fn a_route_may_have_other_attempts() {
    let route = "[[routes]]\nservice = 'web'\nretries = { attempts = 1 }";
    let proxy = Proxy::start(route, &[nobody(), nobody()]);
    assert!(proxy.ask(GET_LAST).starts_with("HTTP/1.1 502 "));
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Arc::clone(proxy.shared.metrics())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("signpost_proxy_retries_total 0\n"), "{text}");
}

#[test]
fn attempts_are_counted() {
    let origins = [(); 4].map(|()| closing());
    let addresses = origins.each_ref().map(|origin| origin.address);
    let proxy = Proxy::start("retries = { attempts = 2 }", &addresses);
    assert!(answer_to(&proxy, GET).0.starts_with("HTTP/1.1 502 "));
    // Each one was another one.
    let asked: Vec<_> = origins.iter().map(Origin::connections).collect();
    assert_eq!(asked.iter().sum::<usize>(), 2, "{asked:?}");
    assert_eq!(asked.iter().max(), Some(&1), "{asked:?}");
}

#[test]
fn a_kept_connection_that_the_only_instance_has_closed_costs_no_request() {
    // Closes each connection after one answer that promised to keep it.
    let (closed, closes) = channel();
    let origin = Origin::start(move |peer, _| {
        let head = peer.head();
        if head.starts_with("POST") {
            assert_eq!(peer.text(5), "hello");
        }
        peer.send(OK);
        peer.finish();
        closed.send(()).unwrap();
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for request in [GET, POST, POST, GET, POST] {
        client.send(request);
        assert_eq!(client.answer().1, "ok");
        closes.recv_timeout(Duration::from_secs(10)).unwrap();
    }
    assert_eq!(origin.connections(), 5);
}

/// Reads the second request on a connection and resets it then: nobody could have known.
fn resets_the_second() -> Origin {
    Origin::start(|peer, _| {
        peer.head();
        peer.send(OK);
        if peer.next_head().is_some() {
            SockRef::from(&peer.stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    })
}

#[test]
fn a_kept_connection_closed_as_the_request_comes_is_tried_anew() {
    let origin = resets_the_second();
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..4 {
        client.send(GET);
        assert_eq!(client.answer().1, "ok");
    }
    client.send(GET.replace("GET", "POST"));
    assert!(client.answer().0.starts_with("HTTP/1.1 "));
}

#[test]
fn a_kept_connection_that_was_over_counts_as_no_attempt() {
    let origin = resets_the_second();
    let proxy = Proxy::start("retries = { attempts = 1 }", &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..4 {
        client.send(GET);
        assert_eq!(client.answer().1, "ok");
    }
}

#[test]
fn a_body_too_large_to_be_kept_is_sent_once() {
    let origins = [(); 2].map(|()| {
        Origin::start(|peer, _| {
            peer.head();
            peer.exact(200_000);
        })
    });
    let proxy = Proxy::start("", &[origins[0].address, origins[1].address]);
    let mut client = proxy.client();
    client.send("PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 200000\r\n\r\n");
    client.send(vec![0; 200_000]);
    let (head, _) = client.answer();
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(origins[0].connections() + origins[1].connections(), 1);
}

#[test]
fn a_small_body_that_came_later_is_sent_again() {
    let bad = Origin::start(|peer, _| {
        peer.head();
        peer.exact(5);
    });
    let good = taking();
    let proxy = Proxy::start("balancer = \"round_robin\"", &[bad.address, good.address]);
    for _ in 0..2 {
        let mut client = proxy.client();
        client.send("PUT /a HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\n");
        client.send("hel");
        client.send("lo");
        assert_eq!(client.answer().1, "ok");
    }
    assert_eq!(bad.connections(), 1);
}

const FAILING: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

#[test]
fn a_silent_instance_is_given_up_after_the_time_for_one_try() {
    let silent = Origin::start(|peer, _| while peer.next_head().is_some() {});
    let good = Origin::answering(OK);
    let config = "balancer = \"round_robin\"\nretries = { per_try = \"50ms\" }";
    let proxy = Proxy::start(config, &[silent.address, good.address]);
    for _ in 0..4 {
        assert_eq!(answer_to(&proxy, GET).1, "ok");
    }
    assert!(silent.connections() > 0);
    let proxy = Proxy::start(config, &[silent.address]);
    let (head, body) = answer_to(&proxy, GET);
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(body.contains("\"upstream_timeout\""), "{body}");
}

#[test]
fn statuses_that_are_named_lead_to_another_instance_while_there_is_one() {
    let (failing, good) = (Origin::answering(FAILING), Origin::answering(OK));
    let config = "balancer = \"round_robin\"\nretries = { statuses = [503] }";
    let proxy = Proxy::start(config, &[failing.address, good.address]);
    for _ in 0..4 {
        assert_eq!(answer_to(&proxy, GET).1, "ok");
    }
    assert!(failing.connections() > 0);
    // The last one's answer is the client's, whatever it is.
    let proxy = Proxy::start(config, &[failing.address]);
    let (head, body) = answer_to(&proxy, GET);
    assert!(head.starts_with("HTTP/1.1 503 Busy"), "{head}");
    assert_eq!(body, "busy");
}

#[test]
fn a_post_is_repeated_where_the_configuration_allows_it() {
    let origin = taking();
    let config = "balancer = \"round_robin\"\nretries = { non_idempotent = true }";
    let proxy = Proxy::start(config, &[closing().address, origin.address]);
    for _ in 0..4 {
        assert_eq!(answer_to(&proxy, POST).1, "ok");
    }
}

#[test]
fn an_instance_that_refuses_costs_no_budget() {
    let origin = taking();
    let config = "balancer = \"round_robin\"\nretries = { budget = 0.0, budget_min = 0 }";
    let proxy = Proxy::start(config, &[nobody(), origin.address]);
    for _ in 0..8 {
        assert_eq!(answer_to(&proxy, POST).1, "ok");
    }
}

#[test]
fn retries_end_with_their_budget() {
    let (failing, good) = (Origin::answering(FAILING), Origin::answering(OK));
    let config = "balancer = \"round_robin\"\n\
         retries = { statuses = [503], budget = 0.0, budget_min = 2 }";
    let proxy = Proxy::start(config, &[failing.address, good.address]);
    let mut client = proxy.client();
    let answers = (0..12).map(|_| {
        client.send(GET);
        client.answer().1
    });
    let answers: Vec<_> = answers.collect();
    let failed = answers.iter().filter(|answer| *answer == "busy").count();
    assert_eq!(failed, 6 - 2, "{answers:?}");
}

#[test]
fn who_finds_the_budget_spent_by_others_gets_the_answer_that_came() {
    let (go, told) = channel::<()>();
    let told = Arc::new(Mutex::new(told));
    let origins = [(); 2].map(|()| {
        let told = Arc::clone(&told);
        Origin::start(move |peer, _| {
            while peer.next_head().is_some() {
                told.lock().unwrap().recv().unwrap();
                peer.send(FAILING);
            }
        })
    });
    let config = "retries = { statuses = [503], attempts = 2, budget = 0.0, budget_min = 1 }";
    let proxy = Proxy::start(config, &[origins[0].address, origins[1].address]);
    // When they are sent each may still be repeated, but not both.
    let mut clients = [(); 2].map(|()| proxy.client());
    for client in &mut clients {
        client.send(GET);
    }
    let received = || {
        origins
            .iter()
            .map(|one| one.heads.try_iter().count())
            .sum::<usize>()
    };
    let mut so_far = 0;
    eventually("both are sent", || {
        so_far += received();
        so_far == 2
    });
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    for client in &mut clients {
        let (head, body) = client.answer();
        assert!(head.starts_with("HTTP/1.1 503 Busy"), "{head}");
        assert_eq!(body, "busy");
    }
    wait_for(&proxy, "signpost_proxy_retries_refused_total 1");
}

#[test]
fn an_answer_says_more_than_that_another_instance_is_not_there() {
    let failing = Origin::answering(FAILING);
    let config = "balancer = \"round_robin\"\nretries = { statuses = [503] }";
    let proxy = Proxy::start(config, &[failing.address, nobody()]);
    for _ in 0..2 {
        let (head, body) = answer_to(&proxy, GET);
        let refused = head.starts_with("HTTP/1.1 502 ") && body.contains("\"upstream_status\"");
        assert!(
            refused || head.starts_with("HTTP/1.1 503 Busy"),
            "{head}{body}"
        );
    }
}

#[test]
fn the_time_for_one_try_is_for_what_may_be_repeated() {
    let slow = Origin::start(|peer, _| {
        while peer.next_head().is_some() {
            peer.exact(5);
            thread::sleep(Duration::from_millis(300));
            peer.send(OK);
        }
    });
    let config = "retries = { per_try = \"50ms\" }";
    let proxy = Proxy::start(config, &[slow.address, slow.address]);
    assert_eq!(answer_to(&proxy, POST).1, "ok");
    assert_eq!(slow.connections(), 1);
}

#[test]
fn a_client_stays_at_its_instance_when_a_kept_connection_is_over() {
    let origins = [(); 2].map(|()| resets_the_second());
    let config = "[[routes]]\nservice = 'web'\nsticky = { cookie = 'at' }";
    let proxy = Proxy::start(config, &[origins[0].address, origins[1].address]);
    let mut client = proxy.client();
    client.send(GET);
    let (head, _) = client.answer();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "));
    let cookie = line.unwrap().split(';').next().unwrap();
    let request = GET.replace("\r\n\r\n", &format!("\r\nCookie: {cookie}\r\n\r\n"));
    for _ in 0..4 {
        client.send(&request);
        let (head, body) = client.answer();
        assert_eq!(body, "ok");
        assert!(!head.contains("Set-Cookie"), "{head}");
    }
    let asked = origins.each_ref().map(Origin::connections);
    assert!(asked.contains(&0), "{asked:?}");
}

#[test]
fn a_retry_goes_to_those_who_are_there_now() {
    let (go, told) = channel::<()>();
    let told = Mutex::new(told);
    let dying = Origin::start(move |peer, _| {
        peer.head();
        told.lock().unwrap().recv().unwrap();
    });
    let good = Origin::answering(OK);
    let proxy = Proxy::start("", &[dying.address]);
    let mut client = proxy.client();
    client.send(GET);
    dying.received();
    proxy.change(&[good.address]);
    go.send(()).unwrap();
    assert_eq!(client.answer().1, "ok");
}
