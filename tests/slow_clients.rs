//! A thousand clients that take their time: they get it as configured, and nobody else notices.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};

use crate::support::signpost::Signpost;

/// How many are slow in each of the three ways; together they are a thousand.
const HEADS: usize = 500;
const BODIES: usize = 400;
const READERS: usize = 100;

/// The timeouts that the proxy has here.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long beyond its timeout a client may be there on a busy machine.
const GRACE: Duration = Duration::from_secs(8);

/// How often a slow client sends another byte of its head.
const DRIP: Duration = Duration::from_millis(100);

/// More than all buffers between server and client hold, two that are sent from and two that are read
/// into, which may grow to 32 MiB each.
const LARGE_BYTES: usize = 128 << 20;

/// The room of the sockets of slow readers and of the server, in bytes.
const SOCKET_BYTES: u32 = 64 << 10;

/// The most memory that a slow client may cost the proxy, on average: a reader's buffer of 64 KiB, and
/// some more of 16 KiB.
const BYTES_PER_CLIENT_MAX: u64 = 128 << 10;

/// The longest that a good client may wait for an answer meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Answers `/large` with a lot, never a request with a body, and all else at once.
async fn origin(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) {
    let mut received = Vec::new();
    loop {
        while !received.ends_with(b"\r\n\r\n") {
            // The end of a body is never waited for, as it never comes.
            match stream.read_buf(&mut received).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let is_large = received.starts_with(b"GET /large ");
        received.clear();
        let sent = match is_large {
            true => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok();
                send_large(&mut stream).await
            }
            false => {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_large(stream: &mut TcpStream) -> std::io::Result<()> {
    static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];
    for _ in 0..LARGE_BYTES / PIECE.len() {
        stream.write_all(&PIECE).await?;
    }
    Ok(())
}

/// Sends a head byte by byte; returns what came back, once the connection is closed.
async fn slow_head(proxy: SocketAddr) -> Vec<u8> {
    let stream = TcpStream::connect(proxy).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nHost: web\r\nX: "
            .iter()
            .chain(&[b'x'; 1_000])
        {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drip => Vec::new(),
        received = read_to_end(&mut reader) => received,
    }
}

/// Sends a part of a body and no more; returns what came back, once the connection is closed.
async fn slow_body(proxy: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let part = b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1000000\r\n\r\nsome";
    stream.write_all(part).await.unwrap();
    read_to_end(&mut stream).await
}

/// Asks for a lot and reads none of it until it must have been given up; returns what was there.
async fn slow_reader(proxy: SocketAddr, given_up: Arc<AtomicBool>) -> Vec<u8> {
    let socket = small_socket();
    let mut stream = socket.connect(proxy).await.unwrap();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: web\r\n\r\n")
        .await
        .unwrap();
    while !given_up.load(SeqCst) {
        sleep(DRIP).await;
    }
    read_to_end(&mut stream).await
}

/// Makes a socket with little room. With as much as the system gives, all of them together would have the
/// system short of memory for connections, and then everybody waits.
fn small_socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SOCKET_BYTES).unwrap();
    socket.set_send_buffer_size(SOCKET_BYTES).unwrap();
    socket
}

async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset is an end too.
    stream.read_to_end(&mut received).await.ok();
    received
}

/// Asks again and again, on a new connection and on a kept one, until told to stop; returns how often,
/// and the longest wait.
async fn good_client(proxy: SocketAddr, stop: Arc<AtomicBool>) -> (u64, Duration) {
    let (mut count, mut longest) = (0, Duration::ZERO);
    let mut kept = TcpStream::connect(proxy).await.unwrap();
    while !stop.load(SeqCst) {
        let begin = Instant::now();
        let mut new = TcpStream::connect(proxy).await.unwrap();
        for stream in [&mut new, &mut kept] {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
                .await
                .unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\nok") {
                let read = stream.read_buf(&mut answer).await.unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            }
            count += 1;
        }
        longest = longest.max(begin.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    (count, longest)
}

/// Watches the memory of the proxy and how many clients it has, until told to stop; returns the most of
/// both.
async fn watch(signpost: Arc<Signpost>, stop: Arc<AtomicBool>) -> (u64, u64) {
    let most = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    while !stop.load(SeqCst) {
        let (signpost, most) = (Arc::clone(&signpost), Arc::clone(&most));
        let look = move || {
            most.0.fetch_max(signpost.resident_bytes(), SeqCst);
            most.1.fetch_max(open_connections(&signpost), SeqCst);
        };
        tokio::task::spawn_blocking(look).await.unwrap();
        sleep(DRIP).await;
    }
    (most.0.load(SeqCst), most.1.load(SeqCst))
}

fn open_connections(signpost: &Signpost) -> u64 {
    let metrics = signpost.metrics();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("signpost_proxy_open_connections "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_thousand_slow_clients_get_their_time_and_others_notice_nothing() {
    // The clients and the server are in this process, and signpost inherits what it may have.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let seconds = TIMEOUT.as_secs();
    let signpost = Arc::new(Signpost::start(&format!(
        // The server is in this process, and may be slow to accept that many at once.
        "[proxy.timeouts]\nheader = \"{seconds}s\"\nstream_idle = \"{seconds}s\"\nconnect = \"30s\"\n"
    )));
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(async {
        let socket = small_socket();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // All ask at once.
        socket.listen((HEADS + BODIES + READERS) as u32).unwrap()
    });
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(origin(listener));
    let registration = format!(r#"{{"address": "127.0.0.1", "port": {port}}}"#);
    assert_eq!(signpost.put("web", "i1", &registration).0, 201);
    crate::support::eventually("web is there", || signpost.curl("web", "/").0 == 200);

    let proxy = signpost.proxy();
    let before = signpost.resident_bytes();
    let (stop, given_up) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let good = runtime.spawn(good_client(proxy, Arc::clone(&stop)));
    let watched = runtime.spawn(watch(Arc::clone(&signpost), Arc::clone(&stop)));
    let begin = Instant::now();
    let heads: Vec<_> = (0..HEADS)
        .map(|_| runtime.spawn(slow_head(proxy)))
        .collect();
    let bodies: Vec<_> = (0..BODIES)
        .map(|_| runtime.spawn(slow_body(proxy)))
        .collect();
    let readers: Vec<_> = (0..READERS)
        .map(|_| runtime.spawn(slow_reader(proxy, Arc::clone(&given_up))))
        .collect();
    runtime.block_on(async {
        for client in heads.into_iter().chain(bodies) {
            let received = timeout(TIMEOUT + GRACE, client)
                .await
                .expect("it is closed in time");
            let received = String::from_utf8(received.unwrap()).unwrap();
            assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
        }
    });
    // Who reads nothing can't see that it was closed; the proxy has nobody left but good clients.
    crate::support::eventually("the others are given up", || {
        open_connections(&signpost) <= 3
    });
    assert!(begin.elapsed() < TIMEOUT + GRACE, "{:?}", begin.elapsed());
    assert!(begin.elapsed() >= TIMEOUT);
    given_up.store(true, SeqCst);
    stop.store(true, SeqCst);
    runtime.block_on(async {
        for client in readers {
            let received = client.await.unwrap();
            assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(received.len() < LARGE_BYTES, "it was cut off");
        }
        let (answers, longest) = good.await.unwrap();
        assert!(
            answers > 50 && longest < ANSWER_MAX,
            "{answers} answers, up to {longest:?}"
        );
        let (most, connections) = watched.await.unwrap();
        let slow = (HEADS + BODIES + READERS) as u64;
        assert!(connections >= slow, "only {connections} were there at once");
        let grown = most.saturating_sub(before);
        assert!(
            grown < slow * BYTES_PER_CLIENT_MAX,
            "{grown} bytes more for {slow} clients"
        );
    });
}
