use std::future::pending;

use config::Duration;
use tokio::net::TcpListener;

use super::*;

/// Checks a server that takes one connection, reads the request and says these bytes; returns the
/// request and the result.
async fn check(check: &Check, answer: &[u8]) -> (String, Result<(), Failure>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.unwrap() == 0 {
                break;
            }
        }
        stream.write_all(answer).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let targets = [target];
    let (request, result) = tokio::join!(server, run(check, "web", &targets));
    (request, result)
}

fn patient() -> Check {
    Check {
        timeout: Duration::from_secs(30),
        ..Check::default()
    }
}

#[tokio::test]
async fn a_check_asks_for_its_path_at_its_host() {
    let good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (request, result) = check(&patient(), good).await;
    assert!(
        request.starts_with("GET / HTTP/1.1\r\nHost: web\r\nUser-Agent: signpost/"),
        "{request}"
    );
    assert_eq!(result, Ok(()));
    let other = Check {
        path: "/health?a=b".to_owned(),
        host: Some("shop.example:80".to_owned()),
        ..patient()
    };
    let (request, _) = check(&other, good).await;
    assert!(
        request.starts_with("GET /health?a=b HTTP/1.1\r\nHost: shop.example:80\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn an_answer_has_to_be_http_with_an_expected_status() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let long = format!(
        "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
        "a".repeat(HEAD_BYTES_MAX)
    );
    for (answer, expected) in [
        (interim, Ok(())),
        ("HTTP/1.1 503 No\r\n\r\n", Err("the status is 503")),
        ("HTTP/1.1 302 Found\r\n\r\n", Err("the status is 302")),
        ("HTTP/1.1 101 Yes\r\n\r\n", Err("the status is 101")),
        ("", Err("the connection was closed without an answer")),
        (
            "HTTP/1.1 200 OK\r\n",
            Err("the connection was closed without an answer"),
        ),
        (
            "HTTP/1.1 200 OK\n\n",
            Err("the answer is not HTTP: a line ends in LF without CR"),
        ),
        (
            "SSH-2.0-x\r\n\r\n",
            Err("the answer is not HTTP: the protocol version is not supported"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            Err("the answer is not HTTP: there are several lengths"),
        ),
        (long.as_str(), Err("the head has more than 16384 bytes")),
    ] {
        let (_, result) = check(&patient(), answer.as_bytes()).await;
        let result = result.map_err(|failure| failure.to_string());
        assert_eq!(result.is_ok(), expected.is_ok(), "{answer:.40} {result:?}");
        if let (Err(is), Err(wanted)) = (result, expected) {
            let same = is.split(':').next() == wanted.split(':').next();
            assert!(same, "{answer:.40} {is}");
        }
    }
}

#[tokio::test]
async fn a_body_is_searched_however_it_is_framed() {
    let wanted = Check {
        body: Some("all is well".to_owned()),
        ..patient()
    };
    for (answer, good) in [
        ("Content-Length: 16\r\n\r\nnow all is well.", true),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nall i\r\n6\r\ns well\r\n0\r\n\r\n",
            true,
        ),
        ("\r\nall is well", true),
        ("\r\nall is ill", false),
        ("Content-Length: 3\r\n\r\nall is well", false),
        ("Content-Length: 30\r\n\r\nall is ", false),
        (
            "Transfer-Encoding: chunked\r\n\r\nx\r\nall is well\r\n",
            false,
        ),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{answer}");
        let (_, result) = check(&wanted, answer.as_bytes()).await;
        assert_eq!(result.is_ok(), good, "{answer} {result:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(BODY_BYTES_MAX + 10));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // It is closed on as soon as enough was read.
        stream.write_all(endless.as_bytes()).await.ok();
        pending::<()>().await;
    };
    let targets = [target];
    let result = tokio::select! {
        result = run(&wanted, "web", &targets) => result,
        () = server => unreachable!(),
    };
    assert!(result.unwrap_err().to_string().contains("does not contain"));
}

#[tokio::test]
async fn a_connection_is_enough_for_a_tcp_check_and_silence_is_not_for_an_http_check() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let tcp = Check {
        kind: CheckKind::Tcp,
        ..patient()
    };
    assert_eq!(run(&tcp, "web", &[target]).await, Ok(()));
    let short = Check {
        timeout: Duration::from_millis(20),
        ..Check::default()
    };
    let silent = run(&short, "web", &[target]).await.unwrap_err().to_string();
    assert_eq!(silent, "it took longer than 20ms");
    drop(listener);
    let refused = run(&tcp, "web", &[target]).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("can't connect to 127.0.0.1:"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_instance_is_asked_at_the_address_where_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 77], target.port()));
    let tcp = Check {
        kind: CheckKind::Tcp,
        ..patient()
    };
    assert_eq!(run(&tcp, "web", &[nobody, target]).await, Ok(()));
    assert!(run(&tcp, "web", &[nobody]).await.is_err());
}
