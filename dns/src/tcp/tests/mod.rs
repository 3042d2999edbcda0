use std::net::SocketAddr;

use registry::{Service, testing};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream as Stream,
    sync::oneshot,
};

use super::*;
use crate::{
    Metrics, bind_tcp,
    testing::{Ask, metrics_text, zones},
    wire::rtype,
};
use hickory_proto::op::Message;

mod framing;
mod late;
mod limits;
mod parity;

const PATIENCE: Duration = Duration::from_secs(5);

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    zones: Arc<ArcSwap<Zones>>,
    task: tokio::task::JoinHandle<io::Result<()>>,
    end: Option<oneshot::Sender<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run(services: Vec<Service>, change: impl Fn(&mut Config)) -> Running {
    let mut config = Config::default();
    change(&mut config);
    let zones = Arc::new(ArcSwap::from_pointee(zones(services)));
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::clone(&zones);
    let metrics = Arc::new(Metrics::default());
    let counters = metrics.counters();
    let (end, ended) = oneshot::channel();
    let over = async move { ended.await.unwrap_or(()) };
    let task = tokio::spawn(serve_tcp(listener, served, counters, &config, over));
    Running {
        address,
        metrics,
        zones,
        task,
        end: Some(end),
    }
}

fn crowd(count: u16) -> Vec<Service> {
    let instance = |n: u16| {
        let host = format!("10.0.{}.{}", n / 250, n % 250);
        testing::instance(&format!("instance-{n}"), &host, 80)
    };
    vec![testing::service_of("web", (0..count).map(instance))]
}

/// A message as it stands in a stream.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// Queries for the addresses of `web` as they stand in a stream, numbered from 0.
fn numbered(count: u16) -> Vec<u8> {
    let mut query = Ask::new("web.svc.internal", rtype::A).bytes();
    let queries = (0..count).flat_map(|id| {
        query[..2].copy_from_slice(&id.to_be_bytes());
        framed(&query)
    });
    queries.collect()
}

async fn send(stream: &mut Stream, query: &[u8]) {
    stream.write_all(&framed(query)).await.unwrap();
}

/// Takes answers with numbers from 0.
async fn receive_numbered(stream: &mut Stream, count: u16) {
    for id in 0..count {
        let answer = receive(stream).await.expect("there is an answer more");
        assert_eq!(answer[..2], id.to_be_bytes());
    }
}

/// The next answer; `None` at the end of the stream.
async fn receive(stream: &mut Stream) -> Option<Vec<u8>> {
    let read = async {
        let len = stream.read_u16().await.ok()?;
        let mut answer = vec![0; usize::from(len)];
        stream.read_exact(&mut answer).await.ok()?;
        Some(answer)
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an answer or the end comes in time")
}

async fn ask(running: &Running, query: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Stream::connect(running.address).await.unwrap();
    send(&mut stream, query).await;
    receive(&mut stream).await
}

#[tokio::test]
async fn large_answers_come_whole() {
    let running = run(crowd(1000), |_| {});
    let answer = ask(&running, &Ask::new("web.svc.internal", rtype::A).bytes())
        .await
        .unwrap();
    let message = Message::from_vec(&answer).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 1000);
    let srv = ask(
        &running,
        &Ask::new("_web._tcp.svc.internal", rtype::SRV).bytes(),
    )
    .await
    .unwrap();
    let message = Message::from_vec(&srv).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 1000);
    assert!(srv.len() > 60_000 && message.additionals.len() > 500);
}

#[tokio::test]
async fn what_is_longer_than_any_message_is_cut() {
    let running = run(crowd(5000), |_| {});
    let answer = ask(&running, &Ask::new("web.svc.internal", rtype::A).bytes())
        .await
        .unwrap();
    let message = Message::from_vec(&answer).unwrap();
    assert!(message.metadata.truncation);
    let room = usize::from(u16::MAX) - answer.len();
    assert!(room < 16, "one address more would have had room");
}

#[tokio::test]
async fn case_and_flags_are_kept_and_what_cannot_be_read_is_a_format_error() {
    let running = run(crowd(1), |_| {});
    let ask_case = Ask::new("wEb.SVC.interNAL", rtype::A);
    let answer = ask(&running, &ask_case.bytes()).await.unwrap();
    assert_eq!(&answer[12..][..ask_case.name.len()], &ask_case.name[..]);
    assert_eq!(answer[2..4], [0x85, 0]);
    let bad = Ask::new("wEb.svc.internal", rtype::A)
        .edns(1232, 0, 0, &[])
        .edns(1232, 0, 0, &[]);
    let answer = ask(&running, &bad.bytes()).await.unwrap();
    assert_eq!(
        (answer[3], &answer[12..][..bad.name.len()]),
        (1, &bad.name[..])
    );
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections() {
    let running = run(crowd(1), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    send(&mut stream, &Ask::new("web.svc.internal", rtype::A).bytes()).await;
    assert!(receive(&mut stream).await.is_some());
    drop(running);
    assert_eq!(receive(&mut stream).await, None);
}
