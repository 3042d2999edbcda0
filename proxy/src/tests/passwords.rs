//! Routes that ask for a password.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

/// Of the password `secret`, as `openssl passwd -5` and `-6` have hashed it.
const ANN: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
const BOB: &str = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";

fn get(credentials: &str) -> String {
    let encoded = STANDARD.encode(credentials);
    format!("GET / HTTP/1.1\r\nHost: web\r\nAuthorization: Basic {encoded}\r\n\r\n")
}

#[test]
fn only_who_has_the_password_comes_to_an_instance() {
    let origin = Origin::start(|peer, _| {
        while peer.next_head().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let config = format!(
        "[[routes]]\nservice = 'web'\nresponse_headers = {{ set = {{ x-route = 'r' }} }}\n\
         auth = {{ realm = 'the shop', users = {{ ann = '{ANN}', bob = '{BOB}' }} }}"
    );
    let proxy = Proxy::start(&config, &[origin.address]);
    let mut client = proxy.client();
    // All on one connection: nothing of a request is lost while its password is compared.
    for (request, is_right) in [
        (GET.to_owned(), false),
        (get("ann:secret"), true),
        (get("ann:wrong"), false),
        (get("bob:secret"), true),
        (get("bob:secret"), true),
        (get("eve:secret"), false),
        (get("ann:secret"), true),
    ] {
        client.send(&request);
        let (head, body) = client.answer();
        let status = if is_right {
            "HTTP/1.1 200 "
        } else {
            "HTTP/1.1 401 "
        };
        assert!(head.starts_with(status), "{request}{head}");
        assert!(head.contains("x-route: r\r\n"), "{head}");
        let challenge = "WWW-Authenticate: Basic realm=\"the shop\", charset=\"UTF-8\"\r\n";
        assert_eq!(head.contains(challenge), !is_right, "{head}");
        assert_eq!(body == "ok", is_right, "{body}");
    }
}

#[test]
fn a_body_comes_through_after_the_password_was_compared() {
    let origin = Origin::start(|peer, _| {
        let head = peer.next_head().unwrap();
        assert!(head.contains("Authorization: Basic "), "{head}");
        assert_eq!(peer.text(5), "hello");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let config = format!(
        "[[routes]]\nservice = 'web'\nauth = {{ realm = 'r', users = {{ ann = '{ANN}' }} }}"
    );
    let proxy = Proxy::start(&config, &[origin.address]);
    let mut client = proxy.client();
    let head = get("ann:secret").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n");
    client.send(format!("{head}hello"));
    assert_eq!(client.answer().1, "ok");
}
