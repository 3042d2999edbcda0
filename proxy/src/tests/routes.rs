//! What routes do with requests: splits, redirects, fixed answers.

use registry::{Instance, Service, testing};

use super::*;

/// An origin that answers with its name.
fn named(name: &'static str) -> Origin {
    Origin::start(move |peer, _| {
        while peer.next_head().is_some() {
            let length = name.len();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"
            ));
        }
    })
}

fn instance(id: &str, origin: &Origin, tag: &str) -> Instance {
    let port = origin.address.port();
    let mut instance = testing::instance(id, "127.0.0.1", port);
    instance.tags = Box::new([tag.into()]);
    instance
}

fn service(name: &str, origin: &Origin) -> Service {
    testing::service_of(name, [instance("a", origin, "v1")])
}

#[test]
fn requests_are_split_between_services() {
    let (old, new) = (named("old"), named("new"));
    let services = [service("shop", &old), service("shop-next", &new)];
    let config = "[[routes]]\nsplit = [{ service = 'shop', weight = 3 }, \
                  { service = 'shop-next', weight = 1 }, { service = 'none', weight = 0 }]";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut client = proxy.client();
    let mut new = 0;
    for _ in 0..400 {
        client.send(GET);
        new += usize::from(client.answer().1 == "new");
    }
    assert!((70..130).contains(&new), "{new}");
}

#[test]
fn a_share_without_anybody_leaves_its_requests_to_the_others() {
    let old = named("old");
    let config = "[[routes]]\nsplit = [{ service = 'shop', weight = 1 }, \
                  { service = 'shop-next', weight = 99 }]";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, [service("shop", &old)]));
    let mut client = proxy.client();
    for _ in 0..20 {
        client.send(GET);
        assert_eq!(client.answer().1, "old");
    }
}

#[test]
fn a_subset_gets_the_requests_of_its_route_and_no_others() {
    let (one, two) = (named("one"), named("two"));
    let instances = [instance("a", &one, "v1"), instance("b", &two, "v2")];
    let config = "[[routes]]\nheaders = [{ name = 'x-canary' }]\nservice = 'web'\n\
                  subset = { tags = ['v2'] }\n\
                  [[routes]]\nservice = 'web'\nsubset = { tags = ['v1'] }\n\
                  [[routes]]\npath = '/nobody'\nservice = 'web'\nsubset = { tags = ['v3'] }";
    let snapshot = testing::snapshot(1, [testing::service_of("web", instances)]);
    let proxy = Proxy::with_snapshot(config, snapshot);
    let mut client = proxy.client();
    for _ in 0..10 {
        client.send(GET);
        assert_eq!(client.answer().1, "one");
        client.send(GET.replace("\r\n\r\n", "\r\nX-Canary: 1\r\n\r\n"));
        assert_eq!(client.answer().1, "two");
    }
    client.send(GET.replace("/a ", "/nobody "));
    assert!(client.answer().0.starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_redirect_says_where_and_keeps_the_connection_and_the_query() {
    let config = "trusted_proxies = ['127.0.0.0/8']\n\
                  [[routes]]\npath_prefix = '/old'\n\
                  redirect = { replace_prefix = '/new', status = 308 }\n\
                  [[routes]]\nhost = 'plain.example'\nredirect = { scheme = 'https', status = 301 }\n\
                  [[routes]]\nhost = 'a.example'\nredirect = { host = 'b.example' }";
    let proxy = Proxy::start(config, &[]);
    let mut client = proxy.client();
    let mut location = |host: &str, path: &str, more: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
        let (head, body) = client.answer();
        assert_eq!(body, "");
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("Location: "));
        (head[9..12].to_owned(), line.unwrap().to_owned())
    };
    let of = |status: &str, location: &str| (status.to_owned(), location.to_owned());
    assert_eq!(location("x", "/old/a?b=c", ""), of("308", "/new/a?b=c"));
    assert_eq!(location("x", "/x/..//old", ""), of("308", "/new"));
    assert_eq!(
        location("plain.example:8080", "/a", ""),
        of("301", "https://plain.example/a")
    );
    assert_eq!(
        location("a.example", "/", ""),
        of("302", "http://b.example/")
    );
    assert_eq!(
        location("a.example", "/", "X-Forwarded-Proto: https\r\n"),
        of("302", "https://b.example/")
    );
}

#[test]
fn a_fixed_answer_is_given_without_an_instance() {
    let config = "[[routes]]\npath = '/robots.txt'\n\
                  respond = { body = \"User-agent: *\\n\" }\n\
                  [[routes]]\npath_prefix = '/internal'\nrespond = { status = 403 }\n\
                  [[routes]]\npath = '/empty'\nrespond = { status = 204 }";
    let proxy = Proxy::start(config, &[]);
    let mut client = proxy.client();
    client.send(GET.replace("/a ", "/robots.txt "));
    let (head, body) = client.answer();
    assert_eq!(body, "User-agent: *\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
    assert!(
        head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"),
        "{head}"
    );
    client.send("HEAD /robots.txt HTTP/1.1\r\nHost: web\r\n\r\n");
    assert!(client.head().contains("\r\nContent-Length: 14\r\n"));
    client.send(GET.replace("/a ", "/internal/x "));
    assert!(client.answer().0.starts_with("HTTP/1.1 403 Forbidden\r\n"));
    client.send(GET.replace("/a ", "/empty "));
    assert!(!client.answer().0.contains("Content-Length"));
    // A body that nobody reads ends the connection.
    client.send("POST /internal HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabc");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn a_request_is_rewritten_on_its_way() {
    let origin = Origin::answering(OK);
    let config = "request_id_header = ''\n[[routes]]\npath_prefix = '/shop'\nservice = 'web'\n[routes.rewrite]\n\
                  replace_prefix = '/v2'\nhost = 'shop.internal:81'\n\
                  headers = { set = { X-Env = 'live' }, add = { X-Via = 'b' }, remove = ['Cookie'] }";
    let proxy = Proxy::start(config, &[origin.address]);
    let port = proxy.address.port();
    proxy.ask(
        "GET /shop/cart?x HTTP/1.1\r\nHost: shop.example\r\nx_env: test\r\nX-ENV: dev\r\n\
         cookie: secret\r\nX-Via: a\r\nAccept: z\r\nConnection: close, X-Env\r\n\r\n",
    );
    assert_eq!(
        origin.received(),
        format!(
            "GET /v2/cart?x HTTP/1.1\r\nHost: shop.internal:81\r\nX-Via: a\r\nAccept: z\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Port: {port}\r\n\
         Forwarded: for=127.0.0.1;proto=http;host=\"shop.example\"\r\n\
         X-Forwarded-Host: shop.example\r\n\
         X-Env: live\r\nX-Via: b\r\n\r\n"
        )
    );
}

#[test]
fn a_response_is_rewritten_on_its_way() {
    let origin = Origin::start(|peer, _| {
        while peer.next_head().is_some() {
            peer.send("HTTP/1.1 103 Early Hints\r\nServer: x\r\n\r\n");
            peer.send("HTTP/1.1 200 OK\r\nServer: x\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let edits = "response_headers = { set = { x-a = '2' }, remove = ['server'] }";
    let config = format!(
        "[[routes]]\nservice = 'web'\n{edits}\n\
         [[routes]]\npath = '/fixed'\nrespond = {{ body = 'x' }}\n\
         response_headers = {{ set = {{ content-type = 'text/css' }} }}"
    );
    let proxy = Proxy::start(&config, &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_eq!(
        client.answer().0,
        "HTTP/1.1 200 OK\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n"
    );
    client.send(GET.replace("/a ", "/fixed "));
    let (head, _) = client.answer();
    assert!(head.contains("\r\ncontent-type: text/css\r\n"), "{head}");
    assert!(!head.contains("Content-Type"), "{head}");
}

#[test]
fn an_instance_sends_clients_where_the_route_says() {
    let origin = Origin::start(|peer, _| {
        for location in ["/login", "http://web:8080/x", "http://other/x"] {
            peer.next_head();
            peer.send(format!(
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let config = "[[routes]]\nservice = 'web'\nlocation = { hosts = ['web'], path = '/a' }";
    let proxy = Proxy::start(config, &[origin.address]);
    let mut client = proxy.client();
    for expected in ["/a", "/a", "http://other/x"] {
        client.send(GET);
        assert_eq!(
            client.answer().0,
            format!("HTTP/1.1 302 Found\r\nLocation: {expected}\r\nContent-Length: 0\r\n\r\n")
        );
    }
}

/// The value of the cookie that an answer sets.
fn cookie(head: &str) -> Option<&str> {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "))?;
    line.split(';').next()
}

#[test]
fn a_cookie_keeps_a_client_at_its_instance_as_long_as_that_is_there() {
    let (one, two) = (named("one"), named("two"));
    let config = "[[routes]]\nservice = 'web'\nsticky = { cookie = 'seat', ttl = '10s' }";
    let proxy = Proxy::start(config, &[one.address, two.address]);
    let mut client = proxy.client();
    let head = loop {
        client.send(GET);
        let (head, body) = client.answer();
        if body == "two" {
            break head;
        }
    };
    assert!(
        head.contains("; Path=/; Max-Age=10; HttpOnly; SameSite=Lax\r\n"),
        "{head}"
    );
    let value = cookie(&head).unwrap().to_owned();
    let with = |value: &str| GET.replace("\r\n\r\n", &format!("\r\nCookie: a=b; {value}\r\n\r\n"));
    for _ in 0..20 {
        client.send(with(&value));
        let (head, body) = client.answer();
        assert_eq!((body.as_str(), cookie(&head)), ("two", None));
    }
    // What the client has made up doesn't count.
    client.send(with(&value.replace("seat=1.", "seat=1.f")));
    assert!(cookie(&client.answer().0).is_some());
    // First it can't be connected to, then it isn't there any more.
    for instances in [&[one.address, nobody()][..], &[one.address]] {
        proxy.change(instances);
        client.send(with(&value));
        let (head, body) = client.answer();
        assert_eq!(body, "one");
        assert_ne!(cookie(&head).unwrap(), value);
    }
}

#[test]
fn a_cookie_keeps_a_client_at_its_share_of_a_split() {
    let (old, new) = (named("old"), named("new"));
    let services = [service("shop", &old), service("shop-next", &new)];
    let config = "[[routes]]\nsticky = { cookie = 'seat' }\n\
                  split = [{ service = 'shop', weight = 1 }, { service = 'shop-next', weight = 1 }]";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut seats = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.client();
        client.send(GET);
        let (head, body) = client.answer();
        let value = cookie(&head).unwrap().to_owned();
        client.send(GET.replace("\r\n\r\n", &format!("\r\nCookie: {value}\r\n\r\n")));
        assert_eq!(client.answer().1, body);
        seats.push(body);
    }
    assert!(seats.iter().any(|seat| seat == "old") && seats.iter().any(|seat| seat == "new"));
}

#[test]
fn a_header_or_an_address_keeps_a_client_at_its_share_of_a_split() {
    let (old, new) = (named("old"), named("new"));
    let services = [service("shop", &old), service("shop-next", &new)];
    let split = "split = [{ service = 'shop', weight = 1 }, { service = 'shop-next', weight = 1 }]";
    let config = format!(
        "trusted_proxies = ['127.0.0.0/8']\n\
         [[routes]]\npath = '/a'\nsticky = {{ header = 'X-User' }}\n{split}\n\
         [[routes]]\npath = '/b'\nsticky = {{ client = true }}\n{split}"
    );
    let proxy = Proxy::with_snapshot(&config, testing::snapshot(1, services));
    let mut client = proxy.client();
    for (path, header) in [("/a", "x-user"), ("/b", "x-forwarded-for")] {
        let mut shares = Vec::new();
        for n in 0..20 {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}: 10.0.0.{n}\r\n\r\n");
            let answers: Vec<_> = (0..4)
                .map(|_| {
                    client.send(&request);
                    let (head, body) = client.answer();
                    assert_eq!(cookie(&head), None);
                    body
                })
                .collect();
            assert!(
                answers.iter().all(|answer| *answer == answers[0]),
                "{answers:?}"
            );
            shares.push(answers[0].clone());
        }
        let olds = shares.iter().filter(|share| *share == "old").count();
        assert!((3..=17).contains(&olds), "{path}: {olds}");
    }
}

/// An origin that reads ten bytes of body with every head, and then answers.
fn reading(answer: &'static str) -> Origin {
    Origin::start(move |peer, _| {
        while peer.next_head().is_some() {
            assert_eq!(peer.text(10), "0123456789");
            peer.send(answer);
        }
    })
}

#[test]
fn a_mirror_gets_whole_copies_and_its_answers_are_thrown_away() {
    let web = reading(OK);
    let shadow = reading(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\n",
    );
    let services = [service("web", &web), service("shadow", &shadow)];
    let config = "[[routes]]\nservice = 'web'\nmirror = { service = 'shadow' }";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut client = proxy.client();
    for n in 0..3 {
        client.send(format!(
            "POST /{n} HTTP/1.1\r\nHost: web\r\nContent-Length: 10\r\n\r\n"
        ));
        web.received();
        client.send("0123456789");
        assert_eq!(client.answer().1, "ok");
        assert!(
            shadow
                .received()
                .starts_with(&format!("POST /{n} HTTP/1.1\r\nHost: web\r\n"))
        );
        let line = format!(
            "signpost_proxy_mirrored_requests_total{{result=\"sent\"}} {}",
            n + 1
        );
        wait_for(&proxy, &line);
    }
    assert_eq!(shadow.connections(), 1);
}

#[test]
fn a_mirror_that_is_silent_or_gone_harms_nobody() {
    let web = named("web");
    let silent = Origin::start(|peer, _| {
        peer.head();
        peer.rest();
    });
    let gone = testing::service_of(
        "gone",
        [testing::instance("a", "127.0.0.1", nobody().port())],
    );
    let services = [service("web", &web), service("silent", &silent), gone];
    let config = "retries = { body_bytes = 200 }\nlimits = { mirrored = 2 }\n\
                  [[routes]]\nservice = 'web'\nmirror = { service = 'silent' }\n\
                  [[routes]]\npath = '/gone'\nservice = 'web'\nmirror = { service = 'gone' }\n\
                  [[routes]]\npath = '/none'\nservice = 'web'\n\
                  mirror = { service = 'gone', percent = 0 }";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut client = proxy.client();
    let mut ask = |path: &str, times: usize| {
        for _ in 0..times {
            client.send(GET.replace("/a ", &format!("{path} ")));
            assert_eq!(client.answer().1, "web");
        }
    };
    let count = |result: &str, n: usize| {
        let line = format!("signpost_proxy_mirrored_requests_total{{result=\"{result}\"}} {n}");
        wait_for(&proxy, &line);
    };
    ask("/none", 5);
    ask("/gone", 1);
    count("failed", 1);
    ask("/a", 5);
    count("busy", 3);
    count("sent", 0);
}

#[test]
fn what_no_instance_answers_is_not_mirrored() {
    let (web, shadow) = (Origin::answering(OK), named("shadow"));
    let refusing = testing::service_of(
        "refusing",
        [testing::instance("a", "127.0.0.1", nobody().port())],
    );
    let services = [service("web", &web), service("shadow", &shadow), refusing];
    let config = "[[routes]]\nservice = 'web'\nmirror = { service = 'shadow' }\n\
                  [[routes]]\npath = '/refused'\nservice = 'refusing'\n\
                  mirror = { service = 'shadow' }";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    for (path, status) in [("/refused", "502"), ("/a", "200")] {
        let mut client = proxy.client();
        client.send(GET.replace("/a ", &format!("{path} ")));
        let (head, _) = client.answer();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    wait_for(
        &proxy,
        "signpost_proxy_mirrored_requests_total{result=\"sent\"} 1",
    );
    assert!(shadow.received().starts_with("GET /a "));
}

#[test]
fn a_mirror_that_has_left_meanwhile_gets_no_copy() {
    let (go, told) = std::sync::mpsc::channel::<()>();
    let told = Mutex::new(told);
    let web = Origin::start(move |peer, _| {
        peer.head();
        told.lock().unwrap().recv().unwrap();
        peer.send(OK);
    });
    let shadow = named("shadow");
    let services = [service("web", &web), service("shadow", &shadow)];
    let config = "[[routes]]\nservice = 'web'\nmirror = { service = 'shadow' }";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut client = proxy.client();
    client.send(GET);
    web.received();
    proxy.change(&[web.address]);
    go.send(()).unwrap();
    assert_eq!(client.answer().1, "ok");
    wait_for(
        &proxy,
        "signpost_proxy_mirrored_requests_total{result=\"failed\"} 1",
    );
    assert_eq!(shadow.connections(), 0);
}

#[test]
fn what_is_too_large_to_be_kept_is_not_mirrored() {
    let web = Origin::start(|peer, _| {
        peer.head();
        peer.exact(100_000);
        peer.send(OK);
        peer.rest();
    });
    let services = [service("web", &web), service("shadow", &web)];
    let config = "[[routes]]\nservice = 'web'\nmirror = { service = 'shadow' }";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000\r\n\r\n");
    client.send(vec![b'x'; 100_000]);
    client.answer();
    wait_for(
        &proxy,
        "signpost_proxy_mirrored_requests_total{result=\"not_whole\"} 1",
    );
    assert_eq!(web.connections(), 1);
}
