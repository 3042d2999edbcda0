use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, timeout},
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// An admin API that says what the test says.
struct Api(TcpListener);

impl Api {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn target(&self) -> Target {
        let url = format!("http://{}", self.0.local_addr().unwrap());
        Target::parse(&url, None, None, Duration::from_secs(1)).unwrap()
    }

    /// Answers one request; returns its body.
    async fn answer(&self, status: StatusCode) -> Value {
        let answer = async {
            let (mut stream, _) = self.0.accept().await.unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let count = stream.read(&mut buffer).await.unwrap();
                assert_ne!(count, 0, "the request has ended");
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request);
                let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                if let Ok(body) = serde_json::from_str(body) {
                    let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(text.as_bytes()).await.unwrap();
                    return body;
                }
            }
        };
        timeout(PATIENCE, answer).await.expect("a request comes")
    }
}

/// Checks so seldom that the first check is the only one.
fn registrar() -> Registrar {
    Registrar {
        service: "web".parse().unwrap(),
        id: "a".parse().unwrap(),
        registration: Registration {
            address: "127.0.0.1".to_owned(),
            port: Some(80),
            ..Registration::default()
        },
        check: None,
        schedule: Schedule {
            every: Duration::from_secs(3600),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 1,
        },
    }
}

#[tokio::test]
async fn a_lease_is_renewed_in_time_however_seldom_is_checked() {
    let (api, registrar) = (Api::start().await, registrar());
    let mut target = api.target();
    let renewals = async {
        let body = api.answer(StatusCode::CREATED).await;
        let ttl: config::Duration = serde_json::from_value(body["ttl"].clone()).unwrap();
        let granted = Instant::now();
        api.answer(StatusCode::OK).await;
        assert!(
            granted.elapsed() < ttl.get(),
            "{:?} of {ttl}",
            granted.elapsed()
        );
    };
    tokio::select! {
        end = registrar.keep_registered(&mut target) => panic!("{end}"),
        () = renewals => {}
    }
}

#[tokio::test]
async fn a_refusal_ends_the_agent_as_the_first_answer_only() {
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_IMPLEMENTED,
    ] {
        let (api, registrar) = (Api::start().await, registrar());
        let mut target = api.target();
        let (end, _) = tokio::join!(registrar.keep_registered(&mut target), api.answer(status));
        let expected = format!("the target refuses: the answer was {status}");
        assert_eq!(end.to_string(), expected);
    }
    let (api, registrar) = (Api::start().await, registrar());
    let mut target = api.target();
    let answers = async {
        api.answer(StatusCode::SERVICE_UNAVAILABLE).await;
        api.answer(StatusCode::CREATED).await;
        api.answer(StatusCode::FORBIDDEN).await;
        api.answer(StatusCode::OK).await;
    };
    tokio::select! {
        end = registrar.keep_registered(&mut target) => panic!("{end}"),
        () = answers => {}
    }
}
